"""A technician's questions to the readers that the daemon drives: identify, watch, power.

Questions wait for the end of a round, one question a round. A power is tried until the daemon starts again,
reloads, or the central server says where antennas are; at a bay in play it is left alone.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from bayd.core.model import Bay
from bayd.core.presence import Tee
from bayd.devices.reader_documents import document_of, note_of, read_document
from bayd.devices.reader_talk import Identity, ReaderTalkError, Talk, talk_of
from bayd.ports import Log
from bayd.settings.readers import USUAL_BAUD, Reader
from bayd.web.readers import ToolRefusedError
from bayd.wiring.readers import ReaderParts
from hardware.link import LinkError
from hardware.rfid import ReaderAwayError, ReaderEvent, TagBatch
from hardware.rfid.dialogue import NoAnswerError

FLASH = "flash"


class ReaderTools:
    """See `bayd.web.readers.ReaderTools`."""

    def __init__(self, parts: ReaderParts, find_bay: Callable[[str], Bay], log: Log) -> None:
        self._parts = parts
        self._find_bay = find_bay
        self._log = log

    def held(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for name, settings in self._parts.settings.items():
            view = self._parts.antennas.view(name)
            rows.append(
                {
                    "kind": "reader",
                    "name": name,
                    "driver": settings.driver,
                    "link": settings.link,
                    "state": view.state.value,
                    "reason": view.reason,
                    "model": "" if view.identity is None else view.identity.model,
                    "firmware": "" if view.identity is None else view.identity.firmware,
                    "bays": [port.place.bay for port in view.ports.values() if isinstance(port.place, Tee)],
                    "level": None,
                    # An identifier may be a name that the owner gave: it stays out.
                    "details": {},
                }
            )
        return rows

    async def identify(self, name: str) -> dict[str, Any]:
        settings = self._settings(name)
        with _refusals(name):
            found: Identity | None = await (await self._talk(name)).identify(settings.region)
        if found is None:
            raise ToolRefusedError("reader_away", f"Reader {name} does not answer this question now.")
        return document_of(found)

    async def powers(self, name: str) -> list[int]:
        self._settings(name)
        with _refusals(name):
            return list(await (await self._talk(name)).powers())

    def check_power(self, name: str, power_dbm: int, ports: Collection[int]) -> None:
        settings, wanted = self._settings(name), self._routed(name, ports)
        highest = settings.highest_power_dbm
        if power_dbm > highest:
            text = (
                f"{power_dbm} dBm is more than the {highest} dBm that {settings.region.value} allows with "
                "the antennas and cables of the configuration."
            )
            raise ToolRefusedError("too_much_power", text, "power_dbm")
        for port in sorted(wanted):
            self._must_be_free(name, port)

    async def set_power(
        self, name: str, power_dbm: int, ports: Collection[int]
    ) -> tuple[list[int], list[int], list[str]]:
        self.check_power(name, power_dbm, ports)
        settings, wanted = self._settings(name), self._routed(name, ports)
        with _refusals(name):
            talk = await self._talk(name)
            before = list(await talk.powers())
            self._parts.antennas.try_power(name, wanted, power_dbm)
            self._log.info("reader_power_tried", reader=name, ports=sorted(wanted), power_dbm=power_dbm)
            # In RAM a power is set before each round: nothing to write now.
            kept = settings.driver == "r2000_a0" and settings.power_mode != FLASH
            refused = [] if kept else await talk.set_powers(dict.fromkeys(sorted(wanted), power_dbm))
            after = list(await talk.powers())
        return before, after, [f"port {one.port}: {one.power_dbm} dBm: {one.reason}" for one in refused]

    @contextmanager
    def watched(
        self, name: str, ports: Collection[int], tell: Callable[[str, dict[str, Any]], None]
    ) -> Iterator[frozenset[int]]:
        self._settings(name)
        wanted = self._routed(name, ports)

        def on_event(event: ReaderEvent) -> None:
            if isinstance(event, TagBatch):
                reads = [read_document(read) for read in event.reads if read.port in wanted]
                if reads:
                    tell("reads", {"reads": reads})
            elif (note := note_of(event)) is not None:
                tell("note", {"text": note})

        with self._parts.antennas.watched(name, wanted, on_event):
            yield wanted

    def _settings(self, name: str) -> Reader:
        settings = self._parts.settings.get(name)
        if settings is None:
            known = ", ".join(self._parts.settings) or "none"
            raise ToolRefusedError("unknown_reader", f"There is no reader {name!r} here; there is {known}.")
        return settings

    def _routed(self, name: str, ports: Collection[int]) -> frozenset[int]:
        """Those that are asked for, or all."""
        places = self._parts.antennas.places(name)
        for port in sorted(ports):
            if port not in places:
                text = f"Port {port} is not among [readers.{name}.ports] in the configuration."
                raise ToolRefusedError("unknown_port", text, "ports")
        return frozenset(ports or places)

    def _must_be_free(self, name: str, port: int) -> None:
        place = self._parts.antennas.places(name)[port]
        if isinstance(place, Tee) and self._find_bay(place.bay).session is not None:
            text = f"Bay {place.bay} plays at port {port}: its balls are read with the power that it has."
            raise ToolRefusedError("in_play", text)

    async def _talk(self, name: str) -> Talk:
        settings, turns = self._parts.settings[name], self._parts.drivers[name].asides
        rate = None if "://" in settings.link else settings.baudrate or USUAL_BAUD[settings.driver]
        async with turns.turn() as seat:
            return talk_of(settings.driver, seat, turns, rate)


@contextmanager
def _refusals(name: str) -> Iterator[None]:
    try:
        yield
    except (ReaderAwayError, LinkError, NoAnswerError, ReaderTalkError) as error:
        raise ToolRefusedError("reader_away", f"Reader {name} cannot be asked now: {error}") from error
