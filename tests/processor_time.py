"""What work costs the processor, by comparison with other work of the same moment."""

import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

_TIMES = 3


async def best_of(measure: Callable[[], Awaitable[float]]) -> float:
    """The smallest of three measurements: work that really costs more costs it each time."""
    return min([await measure() for _ in range(_TIMES)])


@contextmanager
def no_collection() -> Iterator[None]:
    """The garbage of other tests is not what is measured."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
