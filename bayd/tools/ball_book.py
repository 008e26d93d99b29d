"""The file of the range's balls: read, changed, and put back whole.

A change is made under a lock, so that two people do not lose each other's, and the file is replaced only
by a complete new one: a daemon that starts in between reads either. What the file may hold is said in
`bayd.core.balls`.
"""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bayd.core.balls import Ball, BallListError, encode_balls, parse_balls


class BallBookError(Exception):
    """The file cannot be used or changed; the message names it, with line and column where one is wrong."""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of the balls of a request."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    retired: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def read_book(path: Path, *, missing_ok: bool = False) -> tuple[Ball, ...]:
    """Raises BallBookError."""
    try:
        return parse_balls(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        if missing_ok:
            return ()
        raise BallBookError(f"{path}: there is no such file") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise BallBookError(f"{path}: line {line}: is not UTF-8 text: save it as CSV in UTF-8") from error
    except OSError as error:
        raise BallBookError(f"{path}: cannot be read: {error.strerror}") from error
    except BallListError as error:
        raise BallBookError(f"{path}: {error}") from error


@contextlib.contextmanager
def changing(path: Path) -> Iterator[None]:
    """Nobody else changes the file meanwhile. Raises BallBookError."""
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise BallBookError(f"{path.parent}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BallBookError(f"{path}: somebody else is changing it now; try again") from error
        yield
    finally:
        os.close(folder)


def write_book(path: Path, balls: Iterable[Ball]) -> None:
    """Replace the file by a complete one, which is on the disk first. Raises BallBookError."""
    text = encode_balls(balls)
    partial: Path | None = None
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        partial = Path(name)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        partial.replace(path)
        partial = None
        _sync_folder(path.parent)
    except OSError as error:
        raise BallBookError(f"{path}: cannot be written: {error.strerror}; it is as it was") from error
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)


def merged(book: Iterable[Ball], more: Iterable[Ball]) -> tuple[tuple[Ball, ...], Change]:
    """`more` wins where an EPC is in both; what is only in `book` stays."""
    balls = {ball.epc: ball for ball in book}
    added, changed, unchanged = [], [], []
    for ball in more:
        known = balls.get(ball.epc)
        if known is None:
            added.append(ball.epc)
        elif known == ball:
            unchanged.append(ball.epc)
        else:
            changed.append(ball.epc)
        balls[ball.epc] = ball
    return tuple(balls.values()), Change(tuple(added), tuple(changed), tuple(unchanged))


def learned(
    book: Iterable[Ball], heard: Iterable[str], label: str, at: str
) -> tuple[tuple[Ball, ...], Change]:
    """New balls for the EPCs that the book has not; one that was retired stays so. Raises BallListError."""
    balls = {ball.epc: ball for ball in book}
    added, unchanged, retired = [], [], []
    for epc in heard:
        known = balls.get(epc)
        if known is None:
            balls[epc] = Ball(epc, label, at)
            added.append(epc)
        elif known.in_use:
            unchanged.append(epc)
        else:
            retired.append(epc)
    return tuple(balls.values()), Change(tuple(added), (), tuple(unchanged), tuple(retired))


def retired(book: Iterable[Ball], epcs: Iterable[str], at: str) -> tuple[tuple[Ball, ...], Change]:
    """These are out of use from now on. Raises BallListError."""
    balls = {ball.epc: ball for ball in book}
    now_retired, unchanged, unknown = [], [], []
    for epc in epcs:
        known = balls.get(epc)
        if known is None:
            unknown.append(epc)
        elif not known.in_use:
            unchanged.append(epc)
        else:
            balls[epc] = replace(known, retired_at=max(at, known.added_at))
            now_retired.append(epc)
    change = Change((), (), tuple(unchanged), tuple(now_retired), tuple(unknown))
    return tuple(balls.values()), change


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
