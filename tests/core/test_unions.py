"""The events and the inputs of every room are in their closed unions, and nothing else is."""

import dataclasses
import inspect
from importlib import import_module
from pkgutil import iter_modules
from typing import get_args

import pytest

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core import qos_events as q


def _written_in(package: object) -> set[type]:
    """Every dataclass that a module of the package defines."""
    found: set[type] = set()
    for room in iter_modules(package.__path__, f"{package.__name__}."):  # type: ignore[attr-defined]
        module = import_module(room.name)
        classes = inspect.getmembers(module, inspect.isclass)
        found |= {c for _, c in classes if c.__module__ == room.name and dataclasses.is_dataclass(c)}
    return found


@pytest.mark.parametrize(
    ("package", "union", "besides"),
    [
        (e, set(get_args(e.Event)) - set(get_args(q.Event)), set()),
        # A move is decided about two bays; an actor is no input.
        (i, set(get_args(i.Input)), {i.Move, i.Actor}),
    ],
)
def test_a_room_keeps_nothing_from_the_union(package: object, union: set[type], besides: set[type]) -> None:
    assert _written_in(package) - besides == union
    assert {kind.__name__ for kind in union | besides} <= set(package.__all__)  # type: ignore[attr-defined]
