"""What the bays drive, put together: readers, dispensers, the central server, the mobile operator."""

from collections.abc import Coroutine
from typing import Any

from bayd.clients.transport import AiohttpTransport
from bayd.core import events as e
from bayd.credentials import Credentials
from bayd.journal import Journal
from bayd.ports import Clock, Log, Randomness
from bayd.runtime.bay import BayObserver
from bayd.runtime.range import Range
from bayd.settings import Configuration
from bayd.wiring.central import AnswerOf, CentralParts
from bayd.wiring.dispensers import DispenserParts
from bayd.wiring.qod import QodParts
from bayd.wiring.readers import ReaderParts, ReaderPlan


class DrivenParts:
    """`load` before anything runs; `roots` are root tasks, `observers` want to see the bays."""

    def __init__(
        self,
        configuration: Configuration,
        credentials: Credentials,
        journal: Journal[e.Event],
        bays: Range,
        *,
        clock: Clock,
        randomness: Randomness,
        log: Log,
    ) -> None:
        settings = configuration.settings
        self._transport = AiohttpTransport()
        self.readers = ReaderParts(
            ReaderPlan.of(configuration), bays, clock=clock, randomness=randomness, log=log
        )
        self.central = CentralParts(
            settings.central,
            credentials,
            journal,
            bays,
            transport=self._transport,
            horizon_ms=settings.play.booking_horizon_minutes * configuration.minute_ms,
            zone=settings.site.zone,
            ears=self.readers,
            clock=clock,
            randomness=randomness,
            log=log,
        )
        users = {number: bay.dispenser for number, bay in settings.bays.items() if bay.dispenser is not None}
        self.dispensers = DispenserParts(settings.dispensers, users, bays, log)
        self.qod = QodParts(configuration, credentials, bays, clock=clock, randomness=randomness, log=log)

    @property
    def observers(self) -> list[BayObserver]:
        return [
            self.readers.antennas,
            self.readers.unread,
            *self.dispensers.reconcilers.values(),
            *self.central.observers,
            self.qod,
        ]

    async def load(self) -> None:
        await self.central.load()

    def roots(self, answer_of: AnswerOf) -> dict[str, Coroutine[Any, Any, None]]:
        return {
            "antennas": self.readers.antennas.run(),
            "readers": self.readers.run(),
            **{f"dispenser-{name}": d.run() for name, d in self.dispensers.reconcilers.items()},
            **self.central.roots(answer_of),
            "qod": self.qod.run(),
        }

    def reload(self, configuration: Configuration) -> None:
        """What of it holds without a restart."""
        self.readers.reload(ReaderPlan.of(configuration))
        self.qod.reload(configuration)

    def devices(self) -> dict[str, Any]:
        """Of the status document."""
        return {**self.readers.devices(), "dispensers": self.dispensers.section()}

    async def aclose(self) -> None:
        await self.qod.aclose()
        await self._transport.aclose()
