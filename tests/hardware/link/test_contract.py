"""What every link promises, held against a pty, a TCP socket and a pair in memory alike."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from hardware.link import Link, LinkLostError, LinkUnavailableError
from tests.hardware.link.ends import PATIENCE_S, FarEnd, MemoryEnd, PtyEnd, TcpEnd, until


@pytest_asyncio.fixture(params=["pty", "tcp", "memory"])
async def end(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[FarEnd]:
    kinds: dict[str, Callable[[], FarEnd]] = {
        "pty": lambda: PtyEnd(tmp_path),
        "tcp": TcpEnd,
        "memory": MemoryEnd,
    }
    far = kinds[request.param]()
    await far.start()
    yield far
    await far.stop()


async def read_exactly(link: Link, count: int) -> bytes:
    data = b""
    async with asyncio.timeout(PATIENCE_S):
        while len(data) < count:
            data += await link.read()
    return data


async def wait_for_loss(link: Link) -> LinkLostError:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await link.read()
            except LinkLostError as error:
                return error


async def test_bytes_pass_both_ways_unchanged(end: FarEnd) -> None:
    every = bytes(range(256)) * 4
    link = await end.opener.open()
    link.write(every)
    await until(lambda: len(end.received) >= len(every))
    end.send(every[::-1])
    assert await read_exactly(link, len(every)) == every[::-1]
    assert bytes(end.received) == every
    await link.aclose()


async def test_the_name_is_the_configured_address(end: FarEnd) -> None:
    link = await end.opener.open()
    assert link.name == end.opener.name
    await link.aclose()


async def test_a_read_given_up_loses_no_byte(end: FarEnd) -> None:
    link = await end.opener.open()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await link.read()
    end.send(b"late")
    assert await read_exactly(link, 4) == b"late"
    await link.aclose()


async def test_discarding_drops_what_waits_and_only_that(end: FarEnd) -> None:
    link = await end.opener.open()
    end.send(b"stale")
    dropped = 0
    async with asyncio.timeout(PATIENCE_S):
        while dropped < 5:
            await asyncio.sleep(0.001)
            dropped += link.discard_input()
    end.send(b"fresh")
    assert await read_exactly(link, 5) == b"fresh"
    assert dropped == 5
    await link.aclose()


async def test_after_unplugging_reads_and_writes_are_refused_by_name(end: FarEnd) -> None:
    link = await end.opener.open()
    await end.unplug()
    error = await wait_for_loss(link)
    assert end.opener.name in str(error)
    for _ in range(2):
        with pytest.raises(LinkLostError):
            link.write(b"too late")
    with pytest.raises(LinkLostError):
        await link.read()
    await link.aclose()
    await link.aclose()


async def test_what_came_before_the_loss_can_still_be_read(end: FarEnd) -> None:
    link = await end.opener.open()
    end.send(b"first ")
    assert await read_exactly(link, 6) == b"first "
    end.send(b"last words")
    async with asyncio.timeout(PATIENCE_S):
        held = await read_exactly(link, 10)
    await end.unplug()
    await wait_for_loss(link)
    assert held == b"last words"
    await link.aclose()


async def test_unplugged_nothing_opens_and_plugged_again_a_fresh_link_works(end: FarEnd) -> None:
    link = await end.opener.open()
    await end.unplug()
    await wait_for_loss(link)
    await link.aclose()
    with pytest.raises(LinkUnavailableError, match=end.opener.name):
        await end.opener.open()
    await end.plug()
    again = await end.opener.open()
    again.write(b"back")
    await until(lambda: bytes(end.received) == b"back")
    end.send(b"yes")
    assert await read_exactly(again, 3) == b"yes"
    await again.aclose()


async def test_closing_twice_is_harmless_and_refuses_further_use(end: FarEnd) -> None:
    link = await end.opener.open()
    await link.aclose()
    await link.aclose()
    with pytest.raises(LinkLostError):
        link.write(b"x")
    with pytest.raises(LinkLostError):
        await link.read()


async def test_a_closed_link_frees_its_port(end: FarEnd) -> None:
    for number in range(3):
        link = await end.opener.open()
        link.write(bytes([number]))
        await until(lambda expected=number + 1: len(end.received) == expected)  # type: ignore[misc]
        await link.aclose()
    assert bytes(end.received) == b"\x00\x01\x02"


async def test_what_was_written_last_still_leaves_on_closing(end: FarEnd) -> None:
    link = await end.opener.open()
    link.write(b"motor off")
    await link.aclose()
    await until(lambda: len(end.received) >= 9)
    assert bytes(end.received) == b"motor off"


async def test_input_that_nobody_reads_stays_bounded_and_the_newest_is_kept(end: FarEnd) -> None:
    link = await end.opener.open()
    for start in range(0, 100_000, 1000):
        end.send(bytes(f"{start:08d}", "ascii") + bytes(992))
        await asyncio.sleep(0.002)
    end.send(b"END")
    held = b""
    async with asyncio.timeout(PATIENCE_S):
        # Nobody reads until all of it has come, however slowly a busy machine passes it on.
        while getattr(link, "input_dropped") < 34_000:  # noqa: ASYNC110, B009
            await asyncio.sleep(0.002)
        while not held.endswith(b"END"):
            held += await link.read()
    assert len(held) <= 66_000
    await link.aclose()


async def test_two_readers_on_one_link_are_a_mistake(end: FarEnd) -> None:
    link = await end.opener.open()

    async def first() -> bytes:
        return await link.read()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(first())
        await asyncio.sleep(0.01)
        with pytest.raises(RuntimeError, match="two readers"):
            await link.read()
        end.send(b"mine")
        await task
    assert task.result()[:1] == b"m"
    await link.aclose()
