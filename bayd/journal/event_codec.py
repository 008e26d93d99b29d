"""Events and bays as JSON text: the class name is the kind, old versions are upcast when read."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, get_args

from pydantic import TypeAdapter
from pydantic_core import from_json

from bayd.core import qos_lease
from bayd.core.events import VERSIONS, Event
from bayd.core.model import Bay

# Where a person's display name is: kind -> JSON path in its payload.
NAMES: Mapping[str, str] = {
    "BookingLearned": "$.booking.player",
    "BookingChanged": "$.booking.player",
    "SessionStarted": "$.player",
    "SessionMovedIn": "$.session.player",
}

# (kind, version) -> what makes the next version's payload of it.
UPCASTS: Mapping[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {}


class UnknownEventError(Exception):
    """The journal holds an event of a newer bayd; the message names kind and version."""


class BayEventCodec:
    """Implements the journal's `EventCodec` for the events of the core."""

    def __init__(self) -> None:
        self._adapters = {kind.__name__: TypeAdapter[Any](kind) for kind in get_args(Event)}

    def encode(self, event: Event) -> tuple[str, int, str]:
        kind = type(event).__name__
        return kind, VERSIONS.get(kind, 1), self._adapters[kind].dump_json(event).decode()

    def decode(self, kind: str, version: int, payload: str) -> Event:
        """Raises UnknownEventError."""
        adapter = self._adapters.get(kind)
        current = VERSIONS.get(kind, 1)
        if adapter is None or version > current:
            raise UnknownEventError(f"event {kind} version {version} is not known to this bayd")
        if version == current:
            event: Event = adapter.validate_json(payload)
            return event
        fields: dict[str, Any] = from_json(payload)
        for older in range(version, current):
            fields = UPCASTS[kind, older](fields)
        upcast: Event = adapter.validate_python(fields)
        return upcast


_BAY = TypeAdapter(Bay)


def encode_bay(bay: Bay) -> str:
    fields: dict[str, Any] = _BAY.dump_python(bay, mode="json", exclude={"qos"})
    return json.dumps(fields | {"qos": qos_lease.dump(bay.qos)}, ensure_ascii=False, separators=(",", ":"))


def decode_bay(text: str) -> Bay:
    fields: dict[str, Any] = from_json(text)
    # Its states tell themselves apart by name, not by their fields.
    qos = qos_lease.load(fields.pop("qos"))
    return replace(_BAY.validate_python(fields), qos=qos)
