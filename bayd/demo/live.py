"""The demo for looking and touching: the evening as it happens, and a bay for yourself."""

import asyncio
import contextlib
import shutil
import tempfile
from collections import deque
from pathlib import Path

import aiohttp
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from bayd.demo.demo import PREFIX, close_when_told
from bayd.demo.doors import Booked, DoorError, Doors
from bayd.demo.script import Evening
from bayd.demo.stage import HOPPERS, READER, Stage, StageError
from bayd.tools.terminal import bays_table

YOUR_BAY = "104"
_YOUR_MINUTES = 30
_GUEST_BAYS = ("101", "102", "103")
_LINES = 8
_REFRESH_S = 0.25


def play_live(console: Console) -> int:
    """Until Ctrl-C."""
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        asyncio.run(_live(console, directory))
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("closing time")
    except (DoorError, StageError) as error:
        console.print(f"the demo broke off: {error}\nlogs: {directory}/*.log", style="red", highlight=False)
        return 1
    shutil.rmtree(directory, ignore_errors=True)
    return 0


async def _live(console: Console, directory: Path) -> None:
    close_when_told()
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as http, Stage(directory) as stage:
        doors = Doors(stage, http)
        said: deque[str] = deque(maxlen=_LINES)

        def say(text: str) -> None:
            said.append(text)
            if not console.is_terminal:  # no picture then, but lines
                console.print(text, highlight=False, soft_wrap=True)

        evening = Evening(stage, doors, say)
        yours: list[Booked] = []
        with Live(console=console, refresh_per_second=4) as live:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_draw(live, stage, doors, said, yours), name="table")
                await evening.play()
                say("the evening is over; guests come and go until you press Ctrl-C")
                await _guests(doors, yours)


async def _guests(doors: Doors, yours: list[Booked]) -> None:
    """New guests for free bays, and always a booking for you."""
    while True:
        with contextlib.suppress(DoorError, aiohttp.ClientError):
            bays = (await doors.status())["bays"]
            if not bays[YOUR_BAY]["booked"] and bays[YOUR_BAY]["session"] is None:
                yours[:] = [await doors.book(YOUR_BAY, _YOUR_MINUTES, 1500)]
            for bay in _GUEST_BAYS:
                view = bays[bay]
                if not view["booked"] and view["session"] is None:
                    guest = await doors.book(bay, 10, 500)
                    await asyncio.sleep(1.5)
                    await doors.type_pin(bay, guest.pin)
                    await doors.dispense(bay, 10)
        await asyncio.sleep(2)


async def _draw(live: Live, stage: Stage, doors: Doors, said: deque[str], yours: list[Booked]) -> None:
    while True:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            live.update(_picture(stage, await doors.status(), said, yours))
        await asyncio.sleep(_REFRESH_S)


def _picture(
    stage: Stage, document: dict[str, object], said: deque[str], yours: list[Booked]
) -> RenderableType:
    names = f"NAME is {', '.join(HOPPERS)}; for unplug and plug also {READER}"
    parts: list[RenderableType] = [
        Text(f"status   {stage.url('bayd')}/status      reception   {stage.url('central')}/"),
        bays_table(document),
        *(Text(f"  {line}", style="dim") for line in said),
        Text(f"break things: .venv/bin/bayd sim unplug|plug|jam|clear|empty|refill NAME\n  {names}"),
        Text(f"for the tools: export BAYD_CONFIG={stage.config}"),
    ]
    if yours:
        token = stage.tokens.screens[YOUR_BAY]
        pin = yours[0].pin
        parts.append(
            Text(
                f"bay {YOUR_BAY} is yours, PIN {pin}:\n"
                f'  curl --json \'{{"pin": "{pin}"}}\' -H "Idempotency-Key: $(openssl rand -hex 16)" '
                f"-H 'Authorization: Bearer {token}' "
                f"{stage.url('bayd')}/api/v1/bays/{YOUR_BAY}/pin",
                style="bold",
            )
        )
    return Group(*parts)
