"""How far something long has come, for who waits at a terminal; a pipe or a log has nothing of it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


@contextmanager
def progress(label: str, steps: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr; call what is given with the number of steps that are done by then."""
    hidden = not sys.stderr.isatty() or steps < 1
    with click.progressbar(length=max(1, steps), label=label, file=sys.stderr, hidden=hidden) as bar:
        yield lambda done: bar.update(max(0, min(done, steps) - bar.pos))
