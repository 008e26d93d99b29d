"""A serial port that can be plugged and unplugged: a pty behind a link with a stable name.

The driver opens the link as it would open /dev/serial/by-id/…; the simulator holds the master. One
descriptor of the slave stays open here, otherwise the master reports a hang-up whenever the driver is away.
"""

import asyncio
import errno
import os
import termios
import tty
from collections.abc import Callable
from pathlib import Path

OUTPUT_LIMIT = 65_536  # bytes held for a driver that does not read; beyond it bytes are lost, as on a line
READ_SIZE = 4096
_BAUDRATES = {getattr(termios, name): int(name[1:]) for name in dir(termios) if name[1:].isdigit()}


class PtyPort:
    """One simulated port. `on_bytes` gets what the driver wrote, in the event loop; `send` answers."""

    def __init__(
        self,
        path: Path,
        on_bytes: Callable[[bytes], None] | None = None,
        *,
        expected_baudrate: int | None = None,
    ) -> None:
        """`path` is the name that the driver opens; it is a link, made by `plug`."""
        self._path = path
        self.on_bytes = on_bytes  # may be set later: device and port need each other
        self.expected_baudrate = (
            expected_baudrate  # the device's own; at another one it hears and says rubbish
        )
        self._master: int | None = None
        self._slave: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unsent = bytearray()
        self._stalled = False
        self.lost_bytes = 0  # sent while nobody took them

    @property
    def path(self) -> Path:
        return self._path

    @property
    def plugged(self) -> bool:
        return self._master is not None

    @property
    def baudrate(self) -> int:
        """What the driver set the line to; 0 while unplugged."""
        if self._slave is None:
            return 0
        return _BAUDRATES.get(termios.tcgetattr(self._slave)[5], 0)

    def plug(self) -> None:
        """A new pty under the same name, as an adapter that enumerates anew."""
        if self._master is not None:
            return
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._master, self._read)
        link = self._path.with_name(f".{self._path.name}.new")
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(self._slave))
        link.replace(self._path)

    def unplug(self) -> None:
        """The driver sees the end of its port, and the name is gone."""
        if self._master is None or self._slave is None or self._loop is None:
            return
        self._path.unlink(missing_ok=True)
        self._loop.remove_reader(self._master)
        self._loop.remove_writer(self._master)
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = None
        self._unsent.clear()

    def send(self, data: bytes) -> None:
        """Towards the driver; lost while unplugged."""
        if self._master is None or self._loop is None:
            self.lost_bytes += len(data)
            return
        self._unsent += self._as_heard(data)
        surplus = len(self._unsent) - OUTPUT_LIMIT
        if surplus > 0:
            del self._unsent[:surplus]
            self.lost_bytes += surplus
        self._write()

    def stall(self, stalled: bool) -> None:
        """A device that does not read: the kernel holds 4 KiB, then writers wait."""
        self._stalled = stalled
        if self._master is None or self._loop is None:
            return
        if stalled:
            self._loop.remove_reader(self._master)
        else:
            self._loop.add_reader(self._master, self._read)

    def _write(self) -> None:
        if self._master is None or self._loop is None or not self._unsent:
            return
        try:
            del self._unsent[: os.write(self._master, self._unsent)]
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self._unsent.clear()
        if self._unsent:
            self._loop.add_writer(self._master, self._write)
        else:
            self._loop.remove_writer(self._master)

    def _read(self) -> None:
        assert self._master is not None
        try:
            data = os.read(self._master, READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return
        if data:
            heard = self._as_heard(data)
            if self.on_bytes is not None:
                self.on_bytes(heard)

    def _as_heard(self, data: bytes) -> bytes:
        """What a receiver at another speed makes of it: fewer bytes, and none of them right."""
        if self.expected_baudrate in (None, self.baudrate):
            return data
        return bytes((byte * 37 + 0x5B) & 0xFF for byte in data[::2])
