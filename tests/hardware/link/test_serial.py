"""What only the serial wrapper promises: the traps of pyserial-asyncio, each shown to be closed."""

import asyncio
import fcntl
import os
import sys
import termios
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
import serial

from hardware.link import LinkLostError, LinkUnavailableError, opener_for
from hardware.link.daemon_thread import in_daemon_thread
from hardware.link.serial import OUTPUT_LIMIT, SerialLink, SerialOpener
from tests.hardware.link.ends import PATIENCE_S, PtyEnd, until


@pytest_asyncio.fixture
async def end(tmp_path: Path) -> AsyncIterator[PtyEnd]:
    far = PtyEnd(tmp_path)
    await far.start()
    yield far
    await far.stop()


async def test_a_port_in_use_is_refused_and_says_so(end: PtyEnd) -> None:
    link = await end.opener.open()
    with pytest.raises(LinkUnavailableError, match="in use by another process"):
        await end.opener.open()
    await link.aclose()
    again = await end.opener.open()
    assert again.name == end.opener.name
    await again.aclose()


async def test_a_port_held_by_a_process_that_was_killed_opens_again(end: PtyEnd) -> None:
    script = (
        "import asyncio, sys\n"
        "from hardware.link import opener_for\n"
        "async def main():\n"
        "    await opener_for(sys.argv[1], baudrate=115200).open()\n"
        "    print('open', flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, end.opener.name, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        assert await holder.stdout.readline() == b"open\n"
        with pytest.raises(LinkUnavailableError, match="in use"):
            await end.opener.open()
    finally:
        holder.kill()
        await holder.communicate()
    link = await end.opener.open()
    assert link.name == end.opener.name
    await link.aclose()


@pytest.mark.parametrize("baudrate", [9600, 57600, 115200])
async def test_the_line_is_raw_at_its_speed_and_keeps_dtr_on_close(end: PtyEnd, baudrate: int) -> None:
    link = await opener_for(end.opener.name, baudrate=baudrate).open()
    assert isinstance(link, SerialLink)
    attributes = termios.tcgetattr(link._port.fd or 0)
    assert end.port.baudrate == baudrate
    assert not attributes[2] & termios.HUPCL
    assert not attributes[3] & (termios.ECHO | termios.ICANON)
    await link.aclose()


async def test_even_parity_and_two_stop_bits_can_be_had(end: PtyEnd) -> None:
    for _ in range(2):  # the second time nothing changes, which a pty without parity answers with EINVAL
        link = await opener_for(end.opener.name, baudrate=19200, parity="E", stopbits=2).open()
        assert isinstance(link, SerialLink)
        assert termios.tcgetattr(link._port.fd or 0)[2] & termios.CSTOPB
        await link.aclose()


async def test_the_path_is_resolved_at_every_opening(end: PtyEnd) -> None:
    link = await end.opener.open()
    before = end.port.path.resolve()
    held, other = os.openpty()  # takes the number that the port would get again
    await end.unplug()
    await link.aclose()
    await end.plug()
    again = await end.opener.open()
    again.write(b"here")
    await until(lambda: bytes(end.received) == b"here")
    assert end.port.path.is_symlink()
    assert before.parent == end.port.path.resolve().parent
    await again.aclose()
    os.close(held)
    os.close(other)


async def test_a_device_that_takes_no_bytes_ends_the_link_not_the_loop(end: PtyEnd) -> None:
    link = await end.opener.open()
    end.port.stall(True)
    with pytest.raises(LinkLostError, match="takes no bytes"):
        for _ in range(2 * OUTPUT_LIMIT // 1000 + 10):
            link.write(bytes(1000))
            await asyncio.sleep(0)
    with pytest.raises(LinkLostError):
        link.write(b"x")
    async with asyncio.timeout(PATIENCE_S):
        await link.aclose()


async def test_closing_a_stalled_line_does_not_wait_for_it(end: PtyEnd) -> None:
    link = await end.opener.open()
    end.port.stall(True)
    link.write(bytes(20_000))
    await asyncio.sleep(0.01)
    longest = 0.0
    loop = asyncio.get_running_loop()

    async def heartbeat() -> None:
        nonlocal longest
        while True:
            before = loop.time()
            await asyncio.sleep(0.01)
            longest = max(longest, loop.time() - before)

    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        beating = group.create_task(heartbeat())
        await link.aclose()
        beating.cancel()
    assert longest < 2.0, "the loop stood still while the port closed"


@pytest.mark.parametrize(
    ("stalled", "expected"),
    [
        pytest.param(True, ["reset_output_buffer", "close"], id="what a stalled line has not taken"),
        pytest.param(False, ["close"], id="not what the kernel or the adapter still passes on"),
    ],
)
async def test_closing_drops_what_it_would_have_to_wait_for(
    end: PtyEnd, monkeypatch: pytest.MonkeyPatch, stalled: bool, expected: list[str]
) -> None:
    import hardware.link.serial as module

    steps: list[str] = []
    for name in ("reset_output_buffer", "close", "flush"):
        really = getattr(module._Port, name)

        def record(port: module._Port, name: str = name, really: Callable[..., None] = really) -> None:
            if port.is_open:
                steps.append(name)
            really(port)

        monkeypatch.setattr(module._Port, name, record)
    link = await end.opener.open()
    steps.clear()
    end.port.stall(stalled)
    link.write(b"motor off" + bytes(60_000 if stalled else 0))
    await link.aclose()
    assert steps == expected


async def test_a_pty_is_not_marked_exclusive_because_the_mark_outlives_its_owner(end: PtyEnd) -> None:
    get_exclusive = 0x80045440  # TIOCGEXCL
    link = await end.opener.open()
    assert isinstance(link, SerialLink)
    marked = fcntl.ioctl(link._port.fd or 0, get_exclusive, b"\0" * 4)
    assert marked == b"\0" * 4
    await link.aclose()


async def test_a_partial_write_goes_on_when_the_device_reads_again(end: PtyEnd) -> None:
    link = await end.opener.open()
    end.port.stall(True)
    sent = os.urandom(30_000)
    link.write(sent)
    await asyncio.sleep(0.05)
    end.port.stall(False)
    await until(lambda: len(end.received) >= len(sent))
    assert bytes(end.received) == sent
    await link.aclose()


async def test_any_error_in_the_read_handler_loses_the_link_once(end: PtyEnd) -> None:
    problems: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    link = await end.opener.open()
    assert isinstance(link, SerialLink)
    losses: list[Exception | None] = []
    lost = link.connection_lost

    def lose(exc: Exception | None) -> None:
        losses.append(exc)
        lost(exc)

    def break_down(data: bytes) -> None:
        raise ZeroDivisionError("not a SerialException")

    link.connection_lost = lose  # type: ignore[method-assign]
    link.data_received = break_down  # type: ignore[method-assign]
    end.send(b"boom")
    with pytest.raises(LinkLostError, match="not a SerialException"):
        async with asyncio.timeout(PATIENCE_S):
            await link.read()
    await link.aclose()
    assert len(losses) == 1
    assert problems == []


async def test_descriptors_that_select_cannot_watch_are_refused(
    end: PtyEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hardware.link.serial.DESCRIPTOR_LIMIT", 3)
    with pytest.raises(LinkUnavailableError, match="descriptor"):
        await end.opener.open()
    monkeypatch.undo()
    link = await end.opener.open()  # the refused one was closed again
    assert link.name == end.opener.name
    await link.aclose()


async def test_an_opening_that_was_given_up_leaves_no_port_behind(
    end: PtyEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hardware.link.serial as module

    go = threading.Event()
    really_open = module._open
    ports: list[serial.Serial] = []  # held, so that nobody but the opener can have closed them

    def open_late(port: module._Port) -> module._Port:
        ports.append(port)
        go.wait(PATIENCE_S)
        return really_open(port)

    monkeypatch.setattr(module, "_open", open_late)
    monkeypatch.setattr(module, "OPEN_TIMEOUT_S", 0.05)
    opener = SerialOpener(end.opener.name, baudrate=115200)
    with pytest.raises(LinkUnavailableError, match="opening takes longer"):
        await opener.open()
    with pytest.raises(LinkUnavailableError, match="still hangs"):
        await opener.open()
    go.set()
    monkeypatch.setattr(module, "OPEN_TIMEOUT_S", PATIENCE_S)
    link = None
    async with asyncio.timeout(PATIENCE_S):
        while link is None:  # the late port is closed in its thread, then the lock is free
            try:
                link = await opener.open()
            except LinkUnavailableError:
                await asyncio.sleep(0.005)
    assert not ports[0].is_open
    await link.aclose()


async def test_opening_does_not_block_the_loop(end: PtyEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    import hardware.link.serial as module

    go = threading.Event()
    really_open = module._open
    monkeypatch.setattr(module, "_open", lambda port: (go.wait(PATIENCE_S), really_open(port))[1])
    turns = 0
    async with asyncio.TaskGroup() as group:
        opening = group.create_task(SerialOpener(end.opener.name, baudrate=115200).open())
        for _ in range(20):
            await asyncio.sleep(0.001)
            turns += 1
        assert not opening.done()
        go.set()
    assert turns == 20
    await opening.result().aclose()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda path: path / "absent", "is the adapter plugged in"),
        (lambda path: path, "cannot be opened"),
    ],
)
async def test_what_cannot_be_opened_says_what_to_do(tmp_path: Path, make: object, text: str) -> None:
    assert callable(make)
    opener = opener_for(str(make(tmp_path)), baudrate=115200)
    with pytest.raises(LinkUnavailableError, match=text):
        await opener.open()


@pytest.mark.parametrize(
    ("link", "text"),
    [
        ("ttyUSB0", "absolute path"),
        ("socket://203.0.113.7", "socket://host:port"),
        ("socket://203.0.113.7:x", "socket://host:port"),
        ("socket://:4001", "socket://host:port"),
        ("socket://203.0.113.7:70000", "between 1 and 65535"),
        ("rfc2217://203.0.113.7:4001", "path below /dev or socket"),
    ],
)
def test_a_wrong_link_is_refused_with_what_to_write(link: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        opener_for(link, baudrate=115200)


def test_a_wrong_line_setting_is_refused_when_configured() -> None:
    with pytest.raises(ValueError, match="parity"):
        opener_for("/dev/ttyUSB0", baudrate=9600, parity="X")
    with pytest.raises(ValueError, match="baud"):
        opener_for("/dev/ttyUSB0", baudrate=-1)


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert opener_for("socket://[2001:db8::1]:4001", baudrate=1).name == "socket://[2001:db8::1]:4001"


def test_a_thread_hands_its_error_on() -> None:
    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        in_daemon_thread(fail, name="fails").result(PATIENCE_S)
