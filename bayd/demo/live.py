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
from bayd.demo.guests import YOUR_BAY, Guests
from bayd.demo.script import Evening
from bayd.demo.stage import HOPPERS, MINUTE_S, READER, Stage, StageError
from bayd.tools.terminal import bays_table

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
        guests = Guests(doors)
        if not console.is_terminal:
            console.print("\n".join(_addresses(stage)), highlight=False, soft_wrap=True)
        with Live(console=console, refresh_per_second=4) as live:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_draw(live, stage, doors, said, guests), name="table")
                await evening.play()
                say("the evening is over; guests come and go until you press Ctrl-C")
                await guests.run()


async def _draw(live: Live, stage: Stage, doors: Doors, said: deque[str], guests: Guests) -> None:
    while True:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            live.update(_picture(stage, await doors.status(), said, guests.yours))
        await asyncio.sleep(_REFRESH_S)


def _picture(
    stage: Stage, document: dict[str, object], said: deque[str], yours: Booked | None
) -> RenderableType:
    names = f"NAME is {', '.join(HOPPERS)}; for unplug and plug also {READER}"
    parts: list[RenderableType] = [
        Text("\n".join(_addresses(stage))),
        Text(f"here a minute lasts {MINUTE_S:g} seconds"),
        bays_table(document),
        *(Text(f"  {line}", style="dim") for line in said),
        Text(f"break things: .venv/bin/bayd sim unplug|plug|jam|clear|empty|refill NAME\n  {names}"),
        Text(f"for the tools, and bayd staff: export BAYD_CONFIG={stage.config}"),
    ]
    if yours is not None:
        token = stage.tokens.screens[YOUR_BAY]
        # Lines of our own: one that a terminal breaks cannot be copied.
        lines = (
            f"bay {YOUR_BAY} is yours, PIN {yours.pin}: at its screen, or",
            f'  curl --json \'{{"pin": "{yours.pin}"}}\' \\',
            '    -H "Idempotency-Key: $(openssl rand -hex 16)" \\',
            f"    -H 'Authorization: Bearer {token}' \\",
            f"    {stage.url('bayd')}/api/v1/bays/{YOUR_BAY}/pin",
        )
        parts.append(Text("\n".join(lines), style="bold"))
    return Group(*parts)


def _addresses(stage: Stage) -> tuple[str, ...]:
    bayd = stage.url("bayd")
    return (
        f"staff's board   {bayd}/   (sign in after: .venv/bin/bayd staff add NAME)",
        f"bay's screen    {bayd}/bay/{YOUR_BAY}   (its code goes in at the board, under Screens)",
        f"reception       {stage.url('central')}/      status   {bayd}/status",
    )
