"""Events and bays as JSON text: the class name is the kind, old versions are upcast when read."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, get_args

from pydantic import TypeAdapter
from pydantic_core import from_json

from bayd.core import qos_lease
from bayd.core.events import VERSIONS, Event
from bayd.core.evolve import REDUCER_VERSION, evolve
from bayd.core.model import Bay
from bayd.journal.errors import UnreadableEventError, UnreadableSnapshotError
from bayd.journal.records import Loaded

# Where a person's display name is: kind -> JSON path in its payload.
NAMES: Mapping[str, str] = {
    "BookingLearned": "$.booking.player",
    "BookingChanged": "$.booking.player",
    "SessionStarted": "$.player",
    "SessionMovedIn": "$.session.player",
}

# (kind, version) -> what makes the next version's payload of it.
UPCASTS: Mapping[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {}


_KINDS: Mapping[str, type[Any]] = {kind.__name__: kind for kind in get_args(Event)}


class UnknownEventError(Exception):
    """The journal holds an event of a newer bayd; the message names kind and version."""


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    """Made when a kind is first met: all of them would keep a start waiting."""
    return TypeAdapter(_KINDS[kind])


class BayEventCodec:
    """Implements the journal's `EventCodec` for the events of the core."""

    def encode(self, event: Event) -> tuple[str, int, str]:
        kind = type(event).__name__
        return kind, VERSIONS.get(kind, 1), _adapter(kind).dump_json(event).decode()

    def decode(self, kind: str, version: int, payload: str) -> Event:
        """Raises UnknownEventError."""
        current = VERSIONS.get(kind, 1)
        if kind not in _KINDS or version > current:
            raise UnknownEventError(f"event {kind} version {version} is not known to this bayd")
        adapter = _adapter(kind)
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


# Reducer version -> what makes the next version's snapshot of its snapshot. A version without an entry
# changed nothing that lies in a snapshot, or only added fields with defaults.
BAY_UPCASTS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}


def decode_bay(text: str, reducer_version: int) -> Bay:
    fields: dict[str, Any] = from_json(text)
    for older in range(reducer_version, REDUCER_VERSION):
        if upcast := BAY_UPCASTS.get(older):
            fields = upcast(fields)
    # Its states tell themselves apart by name, not by their fields.
    qos = qos_lease.load(fields.pop("qos"))
    return replace(_BAY.validate_python(fields), qos=qos)


def restore_bay(number: str, loaded: Loaded[Event]) -> tuple[Bay, int]:
    """A bay as its past makes it, and the newest event in it (0: none).

    Raises UnreadableSnapshotError, UnreadableEventError: without their cause, which may quote a name.
    """
    bay, seq = Bay(number), 0
    if loaded.snapshot_state is not None and loaded.reducer_version is not None:
        seq = loaded.snapshot_seq
        try:
            bay = decode_bay(loaded.snapshot_state, loaded.reducer_version)
        except Exception as error:  # noqa: BLE001 # whatever is wrong with it
            raise UnreadableSnapshotError(
                f"the snapshot of bay {number} at event {seq} cannot be read ({type(error).__name__}):"
                " was it written by another release?"
            ) from None
    for event_seq, event in loaded.events:
        try:
            bay, seq = evolve(bay, event), event_seq
        except Exception as error:  # noqa: BLE001 # an event before it is missing, or says something else
            raise UnreadableEventError(
                f"event {event_seq} ({type(event).__name__}) of bay {number} does not follow from what was"
                f" before it ({type(error).__name__}): is the journal whole?"
            ) from None
    return bay, seq
