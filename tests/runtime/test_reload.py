"""What a running daemon takes up of another configuration, and what waits for a restart."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import structlog

from bayd.core.rules import Rules
from bayd.runtime.range import Range
from bayd.runtime.reload import Reloader, apply_rules
from bayd.settings import Configuration, load
from tests.simulation.world import World

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


RUNS = """
[dispensers.tower]
driver = "pulse_relay"
board = "lcus"
link = "/dev/ttyUSB1"
balls_per_pulse = 5
[dispensers.hopper]
link = "/dev/ttyUSB2"
[readers.west]
link = "/dev/ttyUSB0"
ports = { 1 = "101", 2 = "102" }
[bays.101]
dispenser = "tower"
[bays.102]
dispenser = "hopper"
[play]
pin_tries = 5
"""
OTHER_ANTENNA = ('1 = "101", 2', '3 = "101", 2')
OTHER_MACHINE = ('dispenser = "tower"', 'dispenser = "hopper"')
OTHER_LINE = ("/dev/ttyUSB2", "/dev/ttyUSB3")


@dataclass
class Reloaded:
    """A range that runs with `RUNS`, and its configuration."""

    file: Path
    world: World
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    taken: list[Configuration] = field(default_factory=list)

    async def write(self, *exchanges: tuple[str, str], more: str = "") -> None:
        text = RUNS
        for old, new in exchanges:
            assert old in text
            text = text.replace(old, new)
        self.file.write_text(text + more)
        self.asked.set()
        await asyncio.sleep(1)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[Reloader, Range]]:
        self.file.write_text(RUNS)
        started = load(self.file, {})
        self.world.rules = {number: started.rules(number) for number in started.settings.bays}

        async with self.world.up() as bays, asyncio.TaskGroup() as tasks:

            def take(holds: Configuration) -> None:
                self.taken.append(holds)
                apply_rules(holds, bays)

            reloader = Reloader(self.file, started, take, self.asked, {}, self.world.log)
            task = tasks.create_task(reloader.run(), name="reload")
            yield reloader, bays
            task.cancel()


@pytest.fixture
def reloaded(tmp_path: Path) -> Reloaded:
    return Reloaded(tmp_path / "bayd.toml", World(tmp_path / "journal.db"))


@pytest.mark.parametrize(
    ("exchanges", "more", "needs", "cause"),
    [
        ([], "[bays.103]\nrfid = false\n", "bays.103", "bays.103"),
        ([('[bays.102]\ndispenser = "hopper"\n', ""), (', 2 = "102"', "")], "", "bays.102", "bays.102"),
        ([OTHER_MACHINE], "", "bays.101.dispenser", "bays.101.dispenser"),
        ([OTHER_LINE], "", "dispensers.hopper.link", "dispensers.hopper.link"),
        ([OTHER_ANTENNA], "", None, None),
        # Of the PC, not of bays: a restart takes it up, and nobody asks for one.
        ([], '[site]\nname = "Elsewhere"\n', "site.name", None),
    ],
    ids=["a bay comes", "a bay goes", "other machine", "other line", "other antenna", "of the site"],
)
async def test_what_concerns_bays_asks_for_the_restart_and_antennas_hold_at_once(
    reloaded: Reloaded,
    exchanges: list[tuple[str, str]],
    more: str,
    needs: str | None,
    cause: str | None,
) -> None:
    async with reloaded.running() as (reloader, bays):
        await reloaded.write(*exchanges, more=more)
        warned = {warning["code"]: warning["text"] for warning in reloader.warnings()}
        told = f"The configuration says otherwise than what runs, until a restart: {needs}."
        assert warned == ({} if needs is None else {"restart_needed": told})
        assert reloader.find_restart_cause() == (cause and f"the configuration of {cause}")
        assert set(bays.bays) == {"101", "102"}
        ports = reloaded.taken[-1].settings.readers["west"].ports
        assert ("3" in ports) == (OTHER_ANTENNA in exchanges)
        # Taken back, nothing waits any more.
        await reloaded.write()
        assert (reloader.warnings(), reloader.find_restart_cause()) == ([], None)


async def test_until_the_restart_a_bay_is_served_by_the_machine_that_it_has(reloaded: Reloaded) -> None:
    """A press is weighed by the rules of that machine, and by no server that is not wired yet."""

    def wired(rules: Rules) -> tuple[object, ...]:
        return rules.dispenser, rules.dispenser_step, rules.intent_ttl_ms, rules.walk_ins

    async with reloaded.running() as (_, bays):
        before = wired(bays.rules("101"))
        assert before[:2] == ("tower", 5)
        await reloaded.write(
            OTHER_MACHINE,
            ("pin_tries = 5", "pin_tries = 3"),
            more='[state]\ncommit_timeout_s = 9\n[central.walk_in]\nphone_number = "1555010001"\n',
        )
        assert bays.rules("101").pin_tries == 3
        assert wired(bays.rules("101")) == before
