"""What a simulated reader is beside its bytes: a line, antennas that people plug and pull, and timers.

What its antennas hear is asked of the owner's `field`, once per inventory; `on_listen` tells which port was
live and when, so that an observer knows whether an antenna could have heard a ball at that moment.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence

from hardware.sim.faulty_line import FaultyLine

# (port, time) -> the tags that this antenna hears now: EPC in hexadecimal, dBm at the reader.
Field = Callable[[int, float], Sequence[tuple[str, int]]]
# (port, started, ended), loop time: the antenna was live between the two.
ListenObserver = Callable[[int, float, float], None]


def no_tags(port: int, now: float) -> Sequence[tuple[str, int]]:
    """The empty field."""
    del port, now
    return ()


class ReaderSim:
    """The family adds its state and its bytes. `deliver` takes them towards the driver."""

    def __init__(
        self,
        deliver: Callable[[bytes], None],
        *,
        ports: int,
        field: Field,
        on_listen: ListenObserver | None,
        rng: random.Random | None,
        address: int,
    ) -> None:
        self.line = FaultyLine(deliver, rng or random.Random(0))  # noqa: S311  noise on a line
        self.field = field
        self.on_listen = on_listen
        self.ports = ports
        self.address = address
        self.highest_dbm = 33
        self.flash_dbm = [30] * ports
        self.flash_writes = 0
        self.commands: Counter[int] = Counter()  # how often each one came
        self._unplugged: set[int] = set()
        self._mute: set[int] = set()
        self._received = bytearray()
        self._busy = False
        self._timers: set[asyncio.TimerHandle] = set()

    def unplug_antenna(self, port: int) -> None:
        """Nothing is connected: the port reflects, and the detector sees it."""
        self._unplugged.add(port)

    def plug_antenna(self, port: int) -> None:
        self._unplugged.discard(port)

    def mute_antenna(self, port: int, mute: bool = True) -> None:
        """Connected and well matched, but hears nothing: a wet or covered antenna."""
        (self._mute.add if mute else self._mute.discard)(port)

    def close(self) -> None:
        """No timer is left behind."""
        self._stop_timers()
        self.line.close()

    def _is_deaf(self, port: int) -> bool:
        return port in self._mute or port in self._unplugged

    def _later(self, delay_s: float, call: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()

        def fire() -> None:
            self._timers.discard(timer)
            call()

        timer = loop.call_later(delay_s, fire)
        self._timers.add(timer)

    def _stop_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
