"""The journal after a power cut, in every state that the disk may have kept.

A run is recorded with strace: what was written, what was synced, what was acknowledged. A model of a disk
plays it back to any moment and keeps of what was not synced nothing, all, or some, the last write torn. What
a failed sync was about may be lost for good, though a later sync of the same file succeeds: the kernel holds
such pages as clean. In each state everything acknowledged by then must be there, and nothing denied.
"""

import asyncio
import random
import re
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bayd.journal import InlineJournalExecutor, Journal
from tests.system.journal_child import BootClock, PlainCodec

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

TRACED = "openat,close,pwrite64,write,fdatasync,fsync,ftruncate,unlink"
MEMORY = Path("/dev/shm")
KEPT_AT_RANDOM = 6  # states of each moment beside "nothing" and "all"

LINE = re.compile(r"^(?:\d+ +)?(\w+)\((.*)\) += (-?\d+)(.*)$")
HEX = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass
class Change:
    """A write at an offset, or a truncation (data is None)."""

    at: int
    data: bytes | None
    durable: bool = False
    clean: bool = False  # a sync of it failed: later syncs do not touch it any more

    def apply(self, content: bytearray) -> None:
        if self.data is None:
            del content[self.at :]
            content.extend(b"\0" * (self.at - len(content)))
        else:
            content.extend(b"\0" * max(0, self.at - len(content)))
            content[self.at : self.at + len(self.data)] = self.data


@dataclass
class Inode:
    start: bytes = b""
    changes: list[Change] = field(default_factory=list)

    def content(self, keep: random.Random | bool) -> bytes:
        content = bytearray(self.start)
        for change in self.changes:
            if change.durable or (keep if isinstance(keep, bool) else keep.random() < 0.5):
                change.apply(content)
            elif isinstance(keep, random.Random) and change.data and keep.random() < 0.1:
                torn = change.data[: keep.randrange(len(change.data))]
                Change(change.at, torn).apply(content)
        return bytes(content)


@dataclass
class ModelDisk:
    """One directory: names and inodes, with what is certain to survive."""

    directory: str
    entries: dict[str, Inode]  # as they survive for certain
    pending_entries: list[tuple[str, Inode | None]] = field(default_factory=list)  # in order, not synced
    open_files: dict[int, Inode | None] = field(default_factory=dict)  # None: the directory
    said: list[str] = field(default_factory=list)

    def now(self) -> dict[str, Inode]:
        return self._entries(len(self.pending_entries))

    def _entries(self, kept: int) -> dict[str, Inode]:
        entries = dict(self.entries)
        for name, inode in self.pending_entries[:kept]:
            if inode is None:
                entries.pop(name, None)
            else:
                entries[name] = inode
        return entries

    def play(self, line: str) -> bool:
        """Take one line of the record; whether it was about this directory or a word to the outside."""
        if not (match := LINE.match(line)):
            return False
        call, arguments, result = match[1], match[2], int(match[3])
        texts = [bytes.fromhex(text.replace("\\x", "")) for text in HEX.findall(arguments)]
        first, last = arguments.partition(",")[0], arguments.rpartition(", ")[2]
        fd = int(first) if first.isdigit() else -1
        match call:
            case "openat":
                return self._open(texts[0].decode(), "O_CREAT" in arguments, result)
            case "write" if fd == 1:
                self.said.append(texts[0].decode().strip())
                return True
            case "close":
                self.open_files.pop(fd, None)
                return False
            case "unlink":
                return self._unlink(texts[0].decode())
        if fd not in self.open_files:
            return False
        inode = self.open_files[fd]
        match call:
            case "pwrite64" if inode is not None and result > 0:
                inode.changes.append(Change(int(last), texts[0][:result]))
            case "ftruncate" if inode is not None:
                inode.changes.append(Change(int(last), None))
            case "fdatasync" | "fsync" if inode is None:
                self.entries, self.pending_entries = self.now(), []
            case "fdatasync" | "fsync" if inode is not None:
                for change in inode.changes:
                    change.durable = change.durable or (result == 0 and not change.clean)
                    change.clean = change.clean or result != 0
        return True

    def _open(self, path: str, create: bool, fd: int) -> bool:
        if fd < 0:
            return False
        if path == self.directory:
            self.open_files[fd] = None
            return False
        directory, _, name = path.rpartition("/")
        if directory != self.directory or name not in ("journal.db", "journal.db-wal"):
            self.open_files.pop(fd, None)
            return False
        inode = self.now().get(name)
        created = inode is None and create
        if inode is None:
            inode = Inode()
            self.pending_entries.append((name, inode))
        self.open_files[fd] = inode
        return created

    def _unlink(self, path: str) -> bool:
        directory, _, name = path.rpartition("/")
        if directory != self.directory or name not in self.now():
            return False
        self.pending_entries.append((name, None))
        return True

    def states(self, seed: int) -> Iterator[dict[str, bytes]]:
        """What a power cut now may leave."""
        yield {name: inode.content(keep=False) for name, inode in self.entries.items()}
        yield {name: inode.content(keep=True) for name, inode in self.now().items()}
        for n in range(KEPT_AT_RANDOM):
            keep = random.Random(seed * KEPT_AT_RANDOM + n)
            entries = self._entries(keep.randint(0, len(self.pending_entries)))
            yield {name: inode.content(keep) for name, inode in entries.items()}


def create(path: Path) -> ModelDisk:
    async def open_and_close() -> None:
        journal = await Journal.open(path, InlineJournalExecutor(), PlainCodec(), clock=BootClock())
        await journal.aclose()

    asyncio.run(open_and_close())
    return ModelDisk(str(path.parent), {"journal.db": Inode(path.read_bytes())})


def record(path: Path, *inject: str, reader: bool = False) -> list[str]:
    """Six batches under strace, its lines."""
    log = path.with_name("record")
    orders = [word for fault in inject for word in ("-e", f"inject={fault}")]
    strace = ["strace", "-f", "--seccomp-bpf", "-qq", "-xx", "-s", "1000000", "-o", str(log)]
    child = [sys.executable, "-m", "tests.system.journal_child", str(path), "1", "6", "inline"]
    command = [*strace, "-e", f"trace={TRACED}", *orders, *child, "reader" if reader else ""]
    subprocess.run(command, stdout=subprocess.DEVNULL, timeout=120, check=True)
    return log.read_text().splitlines()


def wrong_in(state: dict[str, bytes], said: list[str]) -> list[str]:
    told: dict[str, set[str]] = {"W": set(), "N": set(), "C": set()}
    for line in said:
        told.setdefault(line[0], set()).add(line[2:])
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        for name, content in state.items():
            (Path(directory) / name).write_bytes(content)
        conn = sqlite3.connect(Path(directory) / "journal.db")
        try:
            found = {batch for (batch,) in conn.execute("SELECT batch FROM events")}
            (cursor,) = conn.execute("SELECT coalesce(max(seq), 0) FROM cursors").fetchone()
            damage = [line for (line,) in conn.execute("PRAGMA quick_check") if line != "ok"]
        except sqlite3.DatabaseError as error:
            return [str(error)]
        finally:
            conn.close()
    lost = [f"{batch} was acknowledged and is lost" for batch in sorted(told["W"] - found)]
    risen = [f"{batch} was denied and is there" for batch in sorted(told["N"] & found)]
    behind = [f"the cursor fell behind {seq}" for seq in sorted(told["C"]) if int(seq) > cursor]
    return damage + lost + risen + behind


@dataclass
class Verdict:
    states: int = 0
    wrong: list[str] = field(default_factory=list)


def cut_everywhere(disk: ModelDisk, lines: list[str]) -> Verdict:
    verdict, seen = Verdict(), set[int]()
    for n, line in enumerate(lines):
        if not disk.play(line):
            continue
        for state in disk.states(seed=n):
            if (mark := hash((*sorted(state.items()), len(disk.said)))) in seen:
                continue
            seen.add(mark)
            verdict.states += 1
            verdict.wrong += [f"line {n}: {wrong}" for wrong in wrong_in(state, disk.said)]
    return verdict


SYNC, WRITE = "fdatasync:error=EIO:when=", "pwrite64:error=EIO:when="


@pytest.mark.parametrize("fault", ["", SYNC + "5", SYNC + "7", SYNC + "8", SYNC + "5+4", WRITE + "30"])
def test_a_power_cut_at_any_moment(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "journal.db"
    disk = create(path)
    verdict = cut_everywhere(disk, record(path, *([fault] if fault else [])))
    assert verdict.wrong == []
    assert verdict.states > 60
    assert sum(line.startswith("W") for line in disk.said) in ((6,) if not fault else range(1, 7))


@pytest.mark.parametrize("when", [5, 7, 8, 9])
def test_a_power_cut_while_somebody_reads(tmp_path: Path, when: int) -> None:
    """With a reader beside it the log outlives the writer's connection, and what failed stays in it."""
    path = tmp_path / "journal.db"
    disk = create(path)
    verdict = cut_everywhere(disk, record(path, f"{SYNC}{when}", reader=True))
    assert verdict.wrong == []
    assert verdict.states > 60


@pytest.mark.parametrize("when", [5, 7, 9])
def test_a_power_cut_after_a_kill_after_a_failed_sync(tmp_path: Path, when: int) -> None:
    """The next start finds a commit that only the page cache holds; no sync would bring it to the disk."""
    path = tmp_path / "journal.db"
    disk = create(path)
    first = record(path, f"{SYNC}{when}")
    failed = next(n for n, line in enumerate(first) if "EIO" in line)
    for line in first[: failed + 1]:
        disk.play(line)
    disk.open_files.clear()
    for file in path.parent.glob("journal.db*"):
        file.unlink()
    for name, inode in disk.now().items():
        path.with_name(name).write_bytes(inode.content(keep=True))
    verdict = cut_everywhere(disk, record(path))
    assert verdict.wrong == []
    assert verdict.states > 60
