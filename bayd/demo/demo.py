"""`bayd demo`: the evening, live or once, and the comparison of its books."""

import asyncio
import json
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import aiohttp
from rich import box
from rich.console import Console
from rich.table import Table

from bayd.demo.books import Line, compare, read_books
from bayd.demo.doors import Booked, DoorError, Doors
from bayd.demo.sabotage import SABOTAGES
from bayd.demo.script import Evening, Receipts
from bayd.demo.stage import MINUTE_S, Stage, StageError

PREFIX = "bayd-demo-"
_RECEIPTS = "receipts.json"
_TIMEOUT = aiohttp.ClientTimeout(total=10)


def play_once(console: Console, *, keep: Path | None, as_json: bool, sabotage: str | None) -> int:
    """Play the script, compare the books; 0 when they agree."""
    began = time.monotonic()

    def say(text: str) -> None:
        if not as_json:
            console.print(f"[dim]{time.monotonic() - began:6.1f} s[/dim]  {text}", highlight=False)

    directory = keep or Path(tempfile.mkdtemp(prefix=PREFIX))
    directory.mkdir(parents=True, exist_ok=True)
    say(f"one minute lasts {MINUTE_S:g} seconds; everything lies in {directory}")
    try:
        receipts = asyncio.run(_evening(directory, say))
    except asyncio.CancelledError:
        console.print("closing time")
        return 1
    except (DoorError, StageError) as error:
        console.print(
            f"the evening broke off: {error}\nlogs: {directory}/*.log", style="red", highlight=False
        )
        return 1
    (directory / _RECEIPTS).write_text(json.dumps(asdict(receipts)))
    code = compare_kept(console, directory, as_json=as_json, sabotage=sabotage)
    if keep is None and code == 0:
        shutil.rmtree(directory)
    return code


def compare_kept(console: Console, directory: Path, *, as_json: bool, sabotage: str | None) -> int:
    """Compare the books of an evening that was kept, falsified first if that is asked for."""
    if sabotage is not None:
        SABOTAGES[sabotage](directory)
    lines = audit(directory)
    if as_json:
        document = [{"what": x.what, "agrees": x.agrees, "said": dict(x.said)} for x in lines]
        console.print_json(json.dumps({"agree": all(x.agrees for x in lines), "lines": document}))
    else:
        print_lines(console, lines)
    return int(not all(line.agrees for line in lines))


def audit(directory: Path) -> list[Line]:
    """The comparison of the books that lie in `directory`."""
    books = read_books(
        directory / "state" / "journal.db",
        directory / "central.db",
        directory / "truth.db",
        directory / "qod.db",
        _read_receipts(directory / _RECEIPTS),
    )
    return compare(books)


def close_when_told() -> None:
    """SIGTERM and a closed terminal end the demo as Ctrl-C does: its processes go with it."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)


async def _evening(directory: Path, say: Callable[[str], None]) -> Receipts:
    close_when_told()
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as http, Stage(directory) as stage:
        evening = Evening(stage, Doors(stage, http), say)
        await evening.play()
        return evening.receipts


def _read_receipts(path: Path) -> Receipts:
    kept = json.loads(path.read_text())
    return Receipts(
        [Booked(**booked) for booked in kept["booked"]],
        {int(session): (minutes, amount) for session, (minutes, amount) in kept["desk_extensions"].items()},
        {int(session): (minutes, amount) for session, (minutes, amount) in kept["bay_extensions"].items()},
        kept["minute_s"],
    )


def print_lines(console: Console, lines: list[Line]) -> None:
    books = ("journal", "central", "hopper", "operator", "truth", "receipts")
    table = Table("what", *books, "", title="The books of one evening", box=box.SIMPLE, padding=(0, 0))
    for line in lines:
        said = dict(line.said)
        cells = [str(said.get(book, "")) for book in books]
        table.add_row(
            line.what, *cells, "=" if line.agrees else "DIFFERS", style="" if line.agrees else "red"
        )
    console.print(table)
    wrong = [line for line in lines if not line.agrees]
    if wrong:
        for line in wrong:
            console.print(f"differs: {line}", style="red", highlight=False)
        if any(line.differs_in_time_played for line in wrong):
            console.print(
                "seconds played differ on a busy PC, too: try again while it does nothing else",
                highlight=False,
                soft_wrap=True,
            )
    else:
        console.print(f"the books agree in all {len(lines)} lines", style="green", highlight=False)
