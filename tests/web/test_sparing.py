"""What anybody may ask for costs a large range little, however often they ask."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bayd.core.rules import Rules
from bayd.web.sparing import DEAR_S, KEPT_S, Sparing
from tests.processor_time import best_of, no_collection
from tests.web.house import STAFF, House


class Made:
    def __init__(self, cost_s: float) -> None:
        self.cost_s = cost_s
        self.spent_s = 0.0
        self.times = 0

    def __call__(self) -> int:
        self.spent_s += self.cost_s
        self.times += 1
        return self.times


@pytest.mark.virtual_time
async def test_what_is_dear_is_kept_for_a_second_and_what_is_cheap_is_not() -> None:
    cheap, dear = Made(DEAR_S / 2), Made(DEAR_S)
    of_cheap = Sparing(cheap, spent_s=lambda: cheap.spent_s)
    of_dear = Sparing(dear, spent_s=lambda: dear.spent_s)
    assert [of_cheap.get() for _ in range(3)] == [1, 2, 3]
    assert [of_dear.get() for _ in range(3)] == [1, 1, 1]
    await asyncio.sleep(KEPT_S)
    assert [of_dear.get() for _ in range(3)] == [2, 2, 2]


class WatchedHouse(House):
    """Counts how often anybody looks at what stands in every answer about the whole range."""

    looks = 0

    @property
    def central(self) -> dict[str, Any]:
        self.looks += 1
        return self._central

    @central.setter
    def central(self, central: dict[str, Any]) -> None:
        self._central = central


@pytest.mark.parametrize("path", ["/status", "/metrics", "/"])
async def test_whoever_asks_without_end_has_a_large_range_say_it_seldom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr("bayd.web.sparing.DEAR_S", DEAR_S / 20)  # also where the processor is quick
    house = WatchedHouse(tmp_path / "journal.db")
    house.rules = {str(number): Rules(dispenser="east") for number in range(101, 357)}
    async with house.open():
        house.looks = 0
        await asyncio.gather(*(house.ask("GET", path, described=False) for _ in range(20)))
        assert house.looks < 10
        for phase, act in (("held", "hold"), ("free", "release")):  # who has signed in sees what is
            await house.press(act, {"reason": "x"} if act == "hold" else None, token=STAFF)
            board = (await house.ask("GET", "/", token=STAFF, described=False)).text
            assert board.count('data-phase="held"') == (phase == "held")


async def test_what_is_long_to_tell_is_told_in_parts(tmp_path: Path) -> None:
    """The day, and what a stream has missed: meanwhile players press buttons and readers speak."""
    house = House(tmp_path / "journal.db")
    house.rules = {str(number): Rules(dispenser="east") for number in range(101, 165)}
    async with house.open():
        for number in house.rules:
            await house.play(number, number)
        await house.told()
        for work in (
            partial(house.ask, "GET", "/day", token=STAFF, described=False),
            partial(_catch_up, house),
        ):
            assert await best_of(partial(longest_turn, work)) < 0.25


async def _catch_up(house: House) -> None:
    headers = {"Authorization": f"Bearer {STAFF}", "Last-Event-ID": "1"}
    async with house.http.get(house.url("/api/v1/events"), headers=headers) as stream:
        await stream.content.readuntil(f"id: {house.journal.last_seq}\n".encode())


async def longest_turn(work: Callable[[], Coroutine[Any, Any, object]]) -> float:
    """The largest part of the processor's time that it took at a stretch."""
    with no_collection():
        began_s = time.thread_time()
        longest_s = 0.0
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(work(), name="work")
            while not task.done():
                last_s = time.thread_time()
                await asyncio.sleep(0)
                longest_s = max(longest_s, time.thread_time() - last_s)
        return longest_s / (time.thread_time() - began_s)
