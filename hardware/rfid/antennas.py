"""Ports without an antenna: told once, left out of the rounds, looked at again now and then.

A reader repeats "antenna missing" in every round for an open port, and each open port costs air time. So
the port is dropped from the requests; once a minute the driver measures it: an open port reflects what it is
sent, a connected antenna does not. Where the reader cannot measure, the port takes part in one more round, as
a trial.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping

from hardware.rfid.reader import AntennaMissing, AntennaRestored

# Is an antenna at this port? None: the reader cannot tell.
Measure = Callable[[int], Awaitable[bool | None]]


class Antennas:
    """What is known of the ports; kept over a lost link."""

    def __init__(
        self,
        port_count: int,
        probe_interval_s: float,
        report: Callable[[AntennaMissing | AntennaRestored], None],
    ) -> None:
        self._port_count = port_count
        self._probe_interval_s = probe_interval_s
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

    def is_missing(self, port: int) -> bool:
        return port in self._missing

    def probe_soon(self, now: float) -> None:
        """Something has changed: the reader came back, or other ports are asked for."""
        if self._missing:
            self._probe_at = now

    def absent(self, missing: Iterable[int], now: float, details: Mapping[int, str] | None = None) -> None:
        """These ports have no antenna; `details` says more, for people."""
        for port in sorted(missing):
            self._on_trial.discard(port)
            if port not in self._missing:
                self._missing.add(port)
                self._report(AntennaMissing(port, (details or {}).get(port, "")))
        if self._missing and self._probe_at is None:
            self._probe_at = now + self._probe_interval_s

    def heard(self, listened: Iterable[int]) -> None:
        """These ports took part in a round."""
        for port in sorted(self._missing.intersection(listened)):
            self._restore(port)

    async def probe_if_due(self, measure: Measure, ports: Iterable[int], now: float) -> None:
        """Measure the missing ones among `ports`."""
        if self._probe_at is None or now < self._probe_at:
            return
        self._probe_at = now + self._probe_interval_s
        for port in sorted(self._missing.intersection(ports)):
            if port > self._port_count:
                continue
            connected = await measure(port)
            if connected is None:
                self._on_trial.add(port)
            elif connected:
                self._restore(port)

    def _restore(self, port: int) -> None:
        self._missing.discard(port)
        self._on_trial.discard(port)
        if not self._missing:
            self._probe_at = None
        self._report(AntennaRestored(port))
