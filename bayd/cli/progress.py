"""How far something long has come, for who waits at a terminal; a pipe or a log has nothing of it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


@contextmanager
def progress(label: str, steps: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr; call what is given with the number of steps that are done by then."""
    if not sys.stderr.isatty() or steps < 1:
        yield lambda _done: None
        return
    with click.progressbar(length=steps, label=label, file=sys.stderr) as bar:
        yield lambda done: bar.update(max(0, min(done, steps) - bar.pos))
