"""An upgrade on trial: until a release acts for the first time, the previous one may take its place again.

Before a release starts for the first time, `systemd/deb/release` lets the journal be copied to
`on-trial-of-VERSION.db` beside it, VERSION being the release that wrote it. Only while the copy has that name
may it be put back without a person: whoever is about to act calls it `journal-of-VERSION.db` first, durably.
What is written to the journal from then on is never undone by a crash, not even by one between READY and the
moment at which systemd hears of it. The two newest copies stay, for a person who goes back to that version.
"""

import asyncio
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bayd.journal import disk
from bayd.journal.disk import copy_database

_ON_TRIAL = "on-trial-of-"
_KEPT = "journal-of-"
_END = ".db"
_COPIES = 2
# Copies hold names of guests. A journal that a person put aside, or a migration, goes after the same time.
COPIES_DAYS = 30
_DAY_MS = 86_400_000
_OURS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_ANSWER_S = 60.0
_WRONG_USAGE = 2  # as docs/operations.md has the exit codes
_SHOWN = 3


def keep(journal: Path, version: str) -> Path:
    """Copy the journal of the release that is to be replaced; where there is none, the copy is empty.

    Of an earlier try nothing stays. Raises JournalError, OSError.
    """
    for old in _on_trial(journal.parent):
        old.unlink()
    copy = journal.with_name(f"{_ON_TRIAL}{version}{_END}")
    if journal.exists():
        copy_database(journal, copy)
    else:
        disk.create_private(copy)
        disk.sync(journal.parent)
    return copy


def is_on_trial(state_dir: Path) -> bool:
    """Whether the previous release may still take this one's place by itself."""
    return any(_on_trial(state_dir))


def take_over(state_dir: Path) -> bool:
    """From now on there is no way back by itself. Answers whether there was one. Raises OSError."""
    found = list(_on_trial(state_dir))
    for copy in found:
        if copy.stat().st_size:
            copy.rename(copy.with_name(_KEPT + copy.name.removeprefix(_ON_TRIAL)))
        else:  # there was no journal to copy
            copy.unlink()
    if not found:
        return False
    for old in sorted(state_dir.glob(f"{_KEPT}*{_END}"), key=_age)[:-_COPIES]:
        old.unlink()
    disk.sync(state_dir)
    return True


def forget_copies(state_dir: Path, journal: str, wall_ms: int) -> int:
    """Delete the copies that are older than `COPIES_DAYS`; how many. Raises OSError."""
    old = [
        copy
        for pattern in (f"{_KEPT}*{_END}", f"{journal}.before-*")
        for copy in state_dir.glob(pattern)
        if _age(copy) < (wall_ms - COPIES_DAYS * _DAY_MS) / 1000
    ]
    for copy in old:
        copy.unlink(missing_ok=True)
    return len(old)


def find_next(package: Path) -> Path | None:
    """The command of a release that takes this one's place at the next start. `package`: this one's `bayd`.

    Releases lie side by side as RELEASE/lib/bayd, and the link `next` beside them.
    """
    tree = package.parent.parent
    link, command = tree.parent / "next", tree.parent / "next/bin/bayd"
    if package.parent.name != "lib" or not link.is_symlink() or link.resolve() == tree.resolve():
        return None
    return command if os.access(command, os.X_OK) else None


async def ask_next(command: Path, config: Path, environment: Mapping[str, str]) -> str | None:
    """What the release of this command has to say against the configuration.

    Nobody else can judge it: it may hold what only that release knows.
    """
    try:
        code, said = await _check_config(command, ("--json", "--for-start", config), environment)
        if code == _WRONG_USAGE:  # the way back: an older release does not know the option, and says all
            code, said = await _check_config(command, ("--json", config), environment)
    except TimeoutError:
        return f"{command} check-config does not end"
    except OSError as error:
        return f"{command}: {error.strerror}"
    if code == 0:
        return None
    try:
        complaints = [f"{each['path']}: {each['text']}" for each in json.loads(said)]
    except (ValueError, TypeError, LookupError):
        complaints = []
    return "; ".join(complaints[:_SHOWN]) or f"{command} check-config ends with {code}"


async def _check_config(
    command: Path, words: Sequence[str | Path], environment: Mapping[str, str]
) -> tuple[int | None, bytes]:
    """Its exit code, and what it says. Raises OSError, TimeoutError."""
    quiet = {name: text for name, text in environment.items() if name not in _OURS}
    asked = await asyncio.create_subprocess_exec(
        command, "check-config", *words,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL, env=quiet,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_ANSWER_S):
            said, _ = await asked.communicate()
    finally:
        if asked.returncode is None:
            asked.kill()
            await asked.wait()
    return asked.returncode, said


def _on_trial(state_dir: Path) -> Iterator[Path]:
    return state_dir.absolute().glob(f"{_ON_TRIAL}*{_END}")


def _age(copy: Path) -> float:
    return copy.stat().st_mtime
