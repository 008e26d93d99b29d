"""The journal under faults of the real system: strace fails, delays and kills at the n-th system call.

What `journal_child` was told on its way is compared with what is in the file afterwards.
"""

import asyncio
import contextlib
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bayd.journal import InlineJournalExecutor, Journal, quick_check
from tests.system.journal_child import BootClock, PlainCodec

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

PRODUCERS, COUNT = 4, 12


@dataclass
class Told:
    """The child's lines."""

    written: set[str] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    cursors: list[int] = field(default_factory=list)
    turns: int = 0
    recoveries: int = 0
    error: str = ""
    full: bool = False
    code: int = 0

    @classmethod
    def parse(cls, out: bytes, code: int) -> "Told":
        told = cls(code=code)
        for line in out.decode().splitlines():
            kind, _, value = line.partition(" ")
            match kind:
                case "W":
                    told.written.add(value)
                case "N":
                    told.denied.add(value)
                case "U":
                    told.unknown.add(value)
                case "C":
                    told.cursors.append(int(value))
                case "T":
                    told.turns = int(value)
                case "R":
                    told.recoveries = int(value)
                case "E":
                    told.error = value
                case "F":
                    told.full = True
        return told


def run(
    path: Path, *inject: str, producers: int = PRODUCERS, count: int = COUNT, words: tuple[str, ...] = ()
) -> Told:
    """The child under strace, its faults confined to the database and its log."""
    child = [sys.executable, "-m", "tests.system.journal_child", str(path), str(producers), str(count)]
    child += words
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", str(path), "-P", f"{path}-wal"]
    calls = ",".join(fault.partition(":")[0] for fault in inject)
    orders = [word for fault in inject for word in ("-e", f"inject={fault}")]
    if "signal" not in "".join(inject):
        strace.append("--seccomp-bpf")  # quicker by far, but then no signal is injected
    command = [*strace, "-e", f"trace={calls}", *orders, *child] if inject else child
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=120, check=False)
    return Told.parse(done.stdout, done.returncode)


def contradictions(path: Path, told: Told) -> list[str]:
    """What stands in the file against what the child was told."""
    conn = sqlite3.connect(path)
    try:
        found = {batch for (batch,) in conn.execute("SELECT DISTINCT batch FROM events")}
        cursor = conn.execute("SELECT coalesce(max(seq), 0) FROM cursors").fetchone()[0]
    finally:
        conn.close()
    wrong = [f"{batch} was acknowledged and is absent" for batch in sorted(told.written - found)]
    wrong += [f"{batch} was denied and is there" for batch in sorted(told.denied & found)]
    if cursor < max(told.cursors, default=0):
        wrong.append(f"the cursor is at {cursor}, acknowledged at {max(told.cursors)}")
    return wrong + list(quick_check(path))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal that exists: faults then meet its opening and its work, not its creation."""
    return created(tmp_path / "journal.db")


def created(path: Path) -> Path:
    """In-process: strace and Python take half a second to start."""
    path.parent.mkdir(exist_ok=True)

    async def create() -> None:
        journal = await Journal.open(path, InlineJournalExecutor(), PlainCodec(), clock=BootClock())
        await journal.aclose()

    asyncio.run(create())
    return path


def test_without_faults_everything_is_acknowledged(path: Path) -> None:
    told = run(path)
    assert (told.code, len(told.written), told.recoveries) == (0, PRODUCERS * COUNT, 0)
    assert contradictions(path, told) == []


@pytest.mark.parametrize("when", ["5", "6", "7", "9", "10..12", "5+5", "6+3"])
def test_a_sync_that_fails(path: Path, when: str) -> None:
    told = run(path, f"fdatasync:error=EIO:when={when}")
    assert told.code == 0, "the child went on to its end"
    assert told.error, "the fault was met"
    assert len(told.written | told.denied) == PRODUCERS * COUNT
    assert contradictions(path, told) == []


@pytest.mark.parametrize("when", ["6", "9", "10+20", "20..29"])
@pytest.mark.parametrize("errno", ["EIO", "ENOSPC"])
def test_a_write_that_fails(path: Path, errno: str, when: str) -> None:
    told = run(path, f"pwrite64:error={errno}:when={when}")
    assert told.code == 0, "the child went on to its end"
    assert told.error, "the fault was met"
    assert len(told.written | told.denied) == PRODUCERS * COUNT
    assert contradictions(path, told) == []


def test_a_sync_that_hangs_does_not_hold_the_loop(path: Path) -> None:
    told = run(path, "fdatasync:delay_enter=2000000:when=5", producers=1, count=6)
    assert (told.code, len(told.written)) == (0, 6)
    assert told.turns > 40, "of 200 in the two seconds that the disk hung"


KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)


def test_killed_at_any_write(tmp_path: Path) -> None:
    acknowledged, killed = [], 0
    for n in range(2, 114, 5):
        path = created(tmp_path / f"{n}" / "journal.db")
        told = run(path, f"pwrite64:signal=KILL:when={n}")
        killed += told.code in KILLED
        acknowledged.append(len(told.written))
        assert contradictions(path, told) == []
        if n % 4 == 0:
            again = run(path)  # the next start finds its way, and knows the batches
            assert (again.code, len(again.written)) == (0, PRODUCERS * COUNT)
            assert contradictions(path, again) == []
    assert killed >= 20
    assert any(0 < count < PRODUCERS * COUNT for count in acknowledged), "some in the midst of it"


def test_killed_at_any_sync(tmp_path: Path) -> None:
    killed = 0
    for n in range(1, 13, 2):
        path = created(tmp_path / f"{n}" / "journal.db")
        told = run(path, f"fdatasync:signal=KILL:when={n}")
        killed += told.code in KILLED
        assert contradictions(path, told) == []
    assert killed >= 5


def test_failing_and_then_killed(tmp_path: Path) -> None:
    """A commit whose sync failed, and death in the middle of finding out."""
    killed = 0
    for n in range(10, 40, 5):
        path = created(tmp_path / f"{n}" / "journal.db")
        told = run(path, "fdatasync:error=EIO:when=5+2", f"pwrite64:signal=KILL:when={n}")
        killed += told.code in KILLED
        assert contradictions(path, told) == []
    assert killed >= 4


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(mount)], check=True)
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


def fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass


def test_a_disk_that_fills_up(small_disk: Path) -> None:
    path, filler = small_disk / "journal.db", small_disk / "filler"
    run(path, count=1)
    ballast = path.with_name("journal.db.ballast")
    assert ballast.stat().st_size == 1024 * 1024
    fill(filler)
    told = run(path, producers=2, count=500, words=("reads",))
    assert told.full
    assert told.code == 0
    money = {batch for batch in told.written if batch.startswith("b0.")}
    assert len(money) == 500, "the reserve is for them alone"
    assert len(told.denied) >= 490, "reads give way as soon as it is all that is left"
    assert contradictions(path, told) == []
    assert not ballast.exists()
    more = run(path, producers=8, count=1000)
    print(f"the reserve took {len(told.written) + len(more.written)} events")  # noqa: T201 # a figure
    assert len(more.written) > 500, "and it is far from used up"
    assert more.denied, "and then it is said"
    assert more.code == 0
    assert contradictions(path, more) == []
    filler.unlink()
    last = run(path, producers=2, count=1001, words=("reads",))
    assert len(last.written) == 2002
    assert ballast.exists()
    assert contradictions(path, last) == []
