"""What a running daemon does by itself about a list of balls that it could not read."""

import asyncio
from pathlib import Path

import pytest
import structlog

from bayd.runtime.reload import Reloader
from bayd.settings import Configuration, load

pytestmark = pytest.mark.virtual_time

EPC = "E28011700000020A00000001"


async def test_a_list_that_appears_is_taken_up_without_being_asked(tmp_path: Path) -> None:
    file, registry = tmp_path / "bayd.toml", tmp_path / "balls.csv"
    file.write_text(f'[balls]\nregistry = "{registry}"\n[bays.101]\nrfid = false\n')
    configuration = load(file, {})
    assert configuration.registered_balls is None
    taken: list[Configuration] = []
    reloader = Reloader(
        file, configuration, taken.append, asyncio.Event(), {}, structlog.testing.CapturingLogger()
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(reloader.run(), name="reload")
        await asyncio.sleep(300)
        assert taken == []
        registry.write_text(f"epc,label,added_at,retired_at\n{EPC},new,2026-01-01T00:00:00Z,\n")
        await asyncio.sleep(60)
        running.cancel()
    assert [each.registered_balls for each in taken] == [frozenset({EPC})]
