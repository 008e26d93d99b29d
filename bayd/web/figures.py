"""`/api/v1/devices/figures`: what a technician watches move, asked for every few seconds."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from aiohttp import web

from bayd.core.inputs import Role
from bayd.ports import Clock
from bayd.web.access import Caller
from bayd.web.answers import answer
from bayd.web.device_documents import CommitsView, FiguresDocument
from bayd.web.documents import CentralSection, DevicesSection
from bayd.web.routes import Answer, Route

Section = Callable[[], Mapping[str, Any]]


class FiguresPage:
    """`devices` and `central` as in the status; `commits`: how long the last ones took, in seconds;
    `waiting`: writes that the disk has not taken yet.
    """

    def __init__(
        self,
        devices: Section,
        central: Section,
        commits: Callable[[], Sequence[float]],
        waiting: Callable[[], int],
        clock: Clock,
    ) -> None:
        self._devices = devices
        self._central = central
        self._commits = commits
        self._waiting = waiting
        self._clock = clock

    def routes(self) -> list[Route]:
        return [
            Route(
                "GET",
                "/api/v1/devices/figures",
                self.show,
                "Figures of the devices, the journal and the outbox, to be watched",
                {HTTPStatus.OK: Answer("As they are now", FiguresDocument)},
                roles=frozenset({Role.STAFF, Role.TECHNICIAN}),
                tag="devices",
            )
        ]

    async def show(self, _request: web.Request, _caller: Caller) -> web.StreamResponse:
        return answer(self.document())

    def document(self) -> FiguresDocument:
        devices = DevicesSection.model_validate(self._devices())
        central = CentralSection.model_validate(self._central())
        took_s = self._commits()
        return FiguresDocument(
            at_s=self._clock.now().boot_ms / 1000,
            readers=devices.readers,
            dispensers=devices.dispensers,
            commits=CommitsView(
                seen=len(took_s),
                median_ms=statistics.median(took_s) * 1000 if took_s else None,
                worst_ms=max(took_s) * 1000 if took_s else None,
                waiting=self._waiting(),
            ),
            outbox=central.outbox,
            oldest_s=central.oldest_s,
            parked=central.parked,
        )
