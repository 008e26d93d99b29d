"""Ports without an antenna: told once, left out of the rounds, measured again now and then.

The reader repeats "antenna missing" in every round for an open port, and each open port costs air time. So
the port is dropped from the requests; once a minute its return loss is measured (0x74, 0x7E): an open port
reflects what it is sent, a connected antenna does not. Where the reader cannot measure, the port takes part
in one more round, as a trial.
"""

from collections.abc import Callable, Iterable

from hardware.rfid import r2000_commands as commands
from hardware.rfid.r2000_dialogue import NoAnswerError, R2000Dialogue
from hardware.rfid.r2000_replies import GROUP_SIZE, AckReply, ReturnLossReply
from hardware.rfid.r2000_settings import R2000Settings
from hardware.rfid.reader import AntennaMissing, AntennaRestored


class Antennas:
    """What is known of the ports; kept over a lost link."""

    def __init__(
        self, settings: R2000Settings, report: Callable[[AntennaMissing | AntennaRestored], None]
    ) -> None:
        self._settings = settings
        self._report = report
        self._missing: set[int] = set()
        self._on_trial: set[int] = set()
        self._probe_at: float | None = None  # loop time; None: no port is missing

    @property
    def probe_at(self) -> float | None:
        return self._probe_at

    def readable(self, ports: Iterable[int]) -> frozenset[int]:
        """The ports that the next round shall ask for."""
        absent = self._missing - self._on_trial
        return frozenset(port for port in ports if port not in absent)

    def probe_soon(self, now: float) -> None:
        """Something has changed: the reader came back, or other ports are asked for."""
        if self._missing:
            self._probe_at = now

    def listened(self, listened: frozenset[int], missing: frozenset[int], now: float) -> None:
        """The outcome of a round."""
        for port in sorted(missing):
            self._on_trial.discard(port)
            if port not in self._missing:
                self._missing.add(port)
                self._report(AntennaMissing(port))
        for port in sorted(listened & self._missing):
            self._restore(port)
        if self._missing and self._probe_at is None:
            self._probe_at = now + self._settings.probe_interval_s

    async def probe_if_due(self, dialogue: R2000Dialogue, ports: Iterable[int], now: float) -> None:
        """Measure the missing ones among `ports`. Raises LinkLostError."""
        if self._probe_at is None or now < self._probe_at:
            return
        self._probe_at = now + self._settings.probe_interval_s
        for port in sorted(self._missing.intersection(ports)):
            if port > self._settings.port_count:
                continue
            loss_db = await self._measure(dialogue, port)
            if loss_db is None:
                self._on_trial.add(port)
            elif loss_db >= self._settings.connected_return_loss_db:
                self._restore(port)

    async def _measure(self, dialogue: R2000Dialogue, port: int) -> int | None:
        group, index = divmod(port - 1, GROUP_SIZE)
        address = self._settings.address
        try:
            await dialogue.select_group(group)
            if not isinstance(await dialogue.ask(commands.set_work_antenna(index + 1, address)), AckReply):
                return None
            reply = await dialogue.ask(
                commands.measure_return_loss(self._settings.probe_frequency_index, address), attempts=1
            )
        except NoAnswerError:
            return None
        return reply.db if isinstance(reply, ReturnLossReply) else None

    def _restore(self, port: int) -> None:
        self._missing.discard(port)
        self._on_trial.discard(port)
        if not self._missing:
            self._probe_at = None
        self._report(AntennaRestored(port))
