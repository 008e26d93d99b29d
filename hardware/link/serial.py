"""A serial port as a link: the one place that touches pyserial and pyserial-asyncio.

pyserial-asyncio 0.6 blocks the loop when it opens, flushes and closes, calls connection_lost twice after
close() and abort(), lets every error but SerialException escape from its read handler (and is called again at
once, for ever), and swallows writes after a loss. Here therefore:

- opening, the last flush and closing happen in a thread of their own. A daemon thread: a port that hangs in
  the kernel must not hold the daemon's exit, nor may a second attempt pile up behind it;
- the transport is built from the open instance and ended exactly once, by `end`; any error ends it;
- pyserial waits with select(), so descriptors from 1024 on are refused when opening;
- what a stalled line has not taken is thrown away before closing, because close() would wait for it. What was
  written last (motor off!) gets half a second to leave; once it has left the buffer nothing is thrown away,
  since the kernel, or the adapter, may still be passing on its last bytes;
- the port is locked by flock and TIOCEXCL. Not TIOCEXCL on a pty: there the mark survives its owner, and
  nobody but root could open the port again after a crash.
"""

import asyncio
import concurrent.futures
import errno
import fcntl
import os
import termios
from functools import partial
from pathlib import Path
from typing import Any

import serial
import serial.rs485
import serial_asyncio

from hardware.link.arrival import Presence, arrival, presence
from hardware.link.daemon_thread import in_daemon_thread
from hardware.link.inbox import InboxLink
from hardware.link.link import Link, LinkUnavailableError

OPEN_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 2.0
DRAIN_TIMEOUT_S = 0.5  # 576 bytes at 9600 baud
DRAIN_POLL_S = 0.005
OUTPUT_LIMIT = 65_536  # bytes that the port has not taken; more means that the line is dead
READ_SIZE = 4096  # what a tty gives at most in one read
DESCRIPTOR_LIMIT = 1024  # FD_SETSIZE of select()
PTY_MAJORS = range(136, 144)  # Linux Documentation/admin-guide/devices.txt: Unix98 PTY slaves


class _Port(serial.Serial):
    """pyserial's port, which otherwise sets the line anew whenever a timeout is assigned."""

    settled = False

    def _reconfigure_port(self, force_update: bool = False) -> None:
        if self.settled:
            return
        try:
            super()._reconfigure_port(force_update)  # type: ignore[misc]  # not in the stubs
        except termios.error:
            if self.fd is None or not _is_pty(self.fd):
                raise
            # A pty has no parity, and says so when nothing else changes.


class _GuardedTransport(serial_asyncio.SerialTransport):  # type: ignore[misc]  # the package has no types
    """pyserial-asyncio's transport with its handlers made safe."""

    _serial: Any
    _protocol: Any

    def __init__(self, loop: asyncio.AbstractEventLoop, link: "SerialLink", port: _Port) -> None:
        super().__init__(loop, link, port)
        self._max_read_size = READ_SIZE

    def end(self, reason: Exception | None) -> None:
        """The only way out: connection_lost follows exactly once."""
        if not self._closing:
            self._abort(reason)

    def _read_ready(self) -> None:
        try:
            data = self._serial.read(self._max_read_size)
            if data:
                self._protocol.data_received(data)
        except Exception as error:  # noqa: BLE001  an error that escapes here is raised anew at every turn
            self.end(error)

    def _write_ready(self) -> None:
        # Not Serial.write: that one spins on EAGAIN.
        data = b"".join(self._write_buffer)
        self._write_buffer.clear()
        try:
            taken = os.write(self._serial.fileno(), data)
        except (BlockingIOError, InterruptedError):
            taken = 0
        except Exception as error:  # noqa: BLE001  as above
            self.end(error)
            return
        if taken < len(data):
            self._write_buffer.append(data[taken:])
        else:
            self._remove_writer()

    def _call_connection_lost(self, exc: Exception | None) -> None:
        port, link = self._serial, self._protocol
        self._write_buffer.clear()
        self._serial = self._protocol = self._loop = None
        link.connection_lost(exc)
        closing = in_daemon_thread(partial(_close, port, drained=link.drained), name=f"close {port.port}")
        closing.add_done_callback(link.port_closed)


class SerialLink(InboxLink, asyncio.Protocol):
    """An open serial port as a link."""

    def __init__(self, name: str, port: _Port) -> None:
        super().__init__(name)
        self.drained = False
        self._port = port
        self._loop = asyncio.get_running_loop()
        self._closed = asyncio.Event()
        self._transport = _GuardedTransport(self._loop, self, port)

    def data_received(self, data: bytes) -> None:
        self._inbox.put(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._inbox.end(f"the serial port is gone ({_in_short(exc)})" if exc else "closed")

    def port_closed(self, _: object) -> None:
        """Called in the closing thread."""
        try:
            self._loop.call_soon_threadsafe(self._closed.set)
        except RuntimeError:
            pass  # the loop has ended before the port did

    def write(self, data: bytes) -> None:
        self._inbox.check_open()
        if not data:
            return
        if self._transport.get_write_buffer_size() + len(data) > OUTPUT_LIMIT:
            reason = f"the device takes no bytes: {OUTPUT_LIMIT} wait to be sent"
            self._inbox.end(reason)
            self._transport.end(OSError(errno.ETIMEDOUT, reason))
            self._inbox.check_open()
        self._transport.write(bytes(data))

    async def aclose(self) -> None:
        try:
            if self._inbox.lost_because is None:
                self._inbox.end("closed")
                self.drained = await self._drain()
        finally:
            self._transport.end(None)
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._closed.wait()
        except TimeoutError:
            pass  # the kernel holds it; its thread goes on waiting

    async def _drain(self) -> bool:
        """Whether all that was written has left."""
        try:
            async with asyncio.timeout(DRAIN_TIMEOUT_S):
                # The kernel tells nobody when the last byte has left.
                while self._transport.get_write_buffer_size() or self._port.out_waiting:  # noqa: ASYNC110
                    await asyncio.sleep(DRAIN_POLL_S)
        except (TimeoutError, OSError, termios.error, TypeError):
            return False  # stalled, or gone meanwhile: pyserial then asks a descriptor that is None
        return True


class SerialOpener:
    """Opens one serial port. The path is resolved anew each time: the adapter may have another number."""

    def __init__(
        self, path: str, *, baudrate: int, parity: str = "N", stopbits: int = 1, rs485: bool = False
    ) -> None:
        """`rs485`: the kernel switches the line driver (TIOCSRS485) of an adapter that does not."""
        if not path.startswith("/"):
            raise ValueError(f"link {path!r}: write an absolute path, best one below /dev/serial/by-id/")
        self._path = path
        # Configured but not opened: a wrong baud rate or parity is reported now, not at night.
        self._make_port = partial(
            _configure, path, baudrate=baudrate, parity=parity, stopbits=stopbits, rs485=rs485
        )
        self._make_port()
        self._tried: Presence | None = None  # what was there at the last attempt to open
        self._opening: concurrent.futures.Future[_Port] | None = None

    @property
    def name(self) -> str:
        return self._path

    async def open(self) -> Link:
        self._tried = presence(Path(self._path))
        if self._opening is not None and not self._opening.done():
            raise LinkUnavailableError(
                f"{self._path}: the previous attempt still hangs in the operating system; unplug the adapter"
            )
        opening = in_daemon_thread(partial(_open, self._make_port()), name=f"open {self._path}")
        self._opening = opening
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                port = await asyncio.wrap_future(opening)
        except BaseException as error:
            opening.add_done_callback(_close_late)  # it may still open after we gave up
            if isinstance(error, TimeoutError):
                raise LinkUnavailableError(
                    f"{self._path}: opening takes longer than {OPEN_TIMEOUT_S:g} s; unplug the adapter"
                ) from error
            if isinstance(error, OSError | ValueError | termios.error):
                raise LinkUnavailableError(f"{self._path}: {_explain(error)}") from error
            raise
        try:
            return SerialLink(self._path, port)
        except (OSError, ValueError, termios.error) as error:
            _close(port)
            raise LinkUnavailableError(f"{self._path}: lost while opening ({error})") from error

    async def returned(self) -> None:
        await arrival(Path(self._path), self._tried)


def _configure(path: str, *, baudrate: int, parity: str, stopbits: int, rs485: bool) -> _Port:
    port = _Port(None, baudrate=baudrate, parity=parity, stopbits=stopbits)
    port.timeout = port.write_timeout = 0
    port.port = path
    port.exclusive = True
    if rs485:
        port.rs485_mode = serial.rs485.RS485Settings()  # RTS drives while sending, nothing is heard of it
    port.dtr = port.rts = True  # set during open: some adapters power their line driver from them
    return port


def _open(port: _Port) -> _Port:
    """Blocking. Raises OSError, ValueError or termios.error."""
    try:
        port.open()
    except ValueError as error:  # pyserial's word for the ioctl's refusal
        if port.rs485_mode is None:
            raise
        raise OSError(
            errno.ENOTTY,
            "its driver has no RS-485 mode: take an adapter that switches by itself, rs485 = false",
        ) from error
    try:
        descriptor = _descriptor(port)
        highest = max(descriptor, port.pipe_abort_read_r or 0, port.pipe_abort_write_r or 0)
        if highest >= DESCRIPTOR_LIMIT:
            raise OSError(errno.EMFILE, f"its descriptor is {highest}, select() needs it below 1024")
        attributes = termios.tcgetattr(descriptor)
        attributes[2] &= ~termios.HUPCL  # closing must not drop DTR: that resets some boards
        termios.tcsetattr(descriptor, termios.TCSANOW, attributes)
        if not _is_pty(descriptor):
            fcntl.ioctl(descriptor, termios.TIOCEXCL)
        try:
            port.set_low_latency_mode(True)  # FTDI otherwise hands bytes over every 16 ms
        except (OSError, ValueError):
            pass  # ptys and some adapters have no such setting
        port.reset_input_buffer()
        port.settled = True
    except BaseException:
        _close(port)
        raise
    return port


def _close(port: _Port, *, drained: bool = False) -> None:
    """Blocking, at worst for as long as the kernel likes."""
    try:
        if not drained:
            port.reset_output_buffer()
        descriptor = _descriptor(port)
        if not _is_pty(descriptor):
            fcntl.ioctl(descriptor, termios.TIOCNXCL)
    except (OSError, termios.error):
        pass  # unplugged
    try:
        port.close()
    except OSError:
        pass  # the descriptor is gone all the same


def _close_late(opening: concurrent.futures.Future[_Port]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        _close(opening.result())


def _descriptor(port: _Port) -> int:
    """Raises OSError when the port is closed."""
    descriptor = port.fileno()
    if descriptor is None:
        raise OSError(errno.EBADF, "the port is closed")
    return descriptor


def _is_pty(descriptor: int) -> bool:
    return os.major(os.fstat(descriptor).st_rdev) in PTY_MAJORS


def _in_short(error: Exception) -> str:
    """pyserial's text for a port that is readable and empty guesses at two causes; a held port has one."""
    return "unplugged" if "readiness to read" in str(error) else str(error)


def _explain(error: Exception) -> str:
    match getattr(error, "errno", None):
        case errno.ENOENT | errno.ENODEV | errno.ENXIO:
            return "not there; is the adapter plugged in, is the path right?"
        case errno.EACCES | errno.EPERM:
            return "no permission; add the daemon's user to the group that owns the port (dialout)"
        case errno.EAGAIN | errno.EBUSY:
            return "in use by another process; stop that one first (ModemManager probes new ports)"
        case _:
            return f"cannot be opened: {error}"
