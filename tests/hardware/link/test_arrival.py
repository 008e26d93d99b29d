"""When a device path counts as plugged in anew."""

import asyncio
from pathlib import Path

import pytest

from hardware.link import LinkUnavailableError, opener_for
from hardware.link.arrival import arrival, presence
from hardware.sim.ptys import PtyPort


async def arrives(path: Path, seconds: float = 5) -> bool:
    known = presence(path)
    try:
        async with asyncio.timeout(seconds):
            await arrival(path, known)
    except TimeoutError:
        return False
    return True


@pytest.mark.virtual_time
async def test_a_device_that_stays_or_stays_away_does_not_arrive(tmp_path: Path) -> None:
    device, absent = tmp_path / "ttyUSB0", tmp_path / "absent"
    device.touch()
    assert not await arrives(device)
    assert not await arrives(absent)
    assert presence(absent) is None


@pytest.mark.virtual_time
@pytest.mark.parametrize("gone_before", [True, False])
async def test_another_one_under_the_same_name_arrives(tmp_path: Path, gone_before: bool) -> None:
    first, second, link = tmp_path / "ttyUSB0", tmp_path / "ttyUSB1", tmp_path / "by-id"
    first.touch()
    link.symlink_to(first)
    if gone_before:
        link.unlink()
    async with asyncio.TaskGroup() as tasks:
        arriving = tasks.create_task(arrives(link), name="arriving")
        await asyncio.sleep(2)
        assert not arriving.done()
        second.touch()
        link.unlink(missing_ok=True)
        link.symlink_to(second)
        await asyncio.sleep(0.2)
        assert arriving.done()
    assert arriving.result()


@pytest.mark.virtual_time
async def test_a_link_to_nothing_is_nothing_and_a_node_that_is_opened_to_its_group_arrives(
    tmp_path: Path,
) -> None:
    """udev makes the node first, and then lets the daemon's group in."""
    node, link = tmp_path / "ttyUSB0", tmp_path / "by-id"
    link.symlink_to(node)
    assert presence(link) is None
    node.touch(0o600)
    async with asyncio.TaskGroup() as tasks:
        arriving = tasks.create_task(arrives(link), name="arriving")
        await asyncio.sleep(1)
        node.chmod(0o660)
        await asyncio.sleep(0.2)
        assert arriving.done()


async def test_what_came_back_while_the_attempt_failed_is_not_missed(tmp_path: Path) -> None:
    path = tmp_path / "tty"
    opener = opener_for(str(path), baudrate=9600)
    with pytest.raises(LinkUnavailableError, match="not there"):
        await opener.open()
    port = PtyPort(path)
    port.plug()
    async with asyncio.timeout(20):
        await opener.returned()
    port.unplug()


@pytest.mark.virtual_time
async def test_a_device_that_changes_all_the_time_takes_no_more_than_ten_turns_a_second(
    tmp_path: Path,
) -> None:
    device = tmp_path / "ttyUSB0"
    device.touch()
    turns = 0
    try:
        async with asyncio.timeout(2):
            while True:
                await arrival(device, None)
                turns += 1
    except TimeoutError:
        pass
    assert 15 <= turns <= 20


async def test_a_port_without_rs485_says_so(tmp_path: Path) -> None:
    port = PtyPort(tmp_path / "tty")
    port.plug()
    opener = opener_for(str(port.path), baudrate=9600, rs485=True)
    with pytest.raises(LinkUnavailableError, match="no RS-485 mode: take an adapter that switches by itself"):
        await opener.open()
    port.unplug()
