"""The daemon's part of QoD and the reference operator, over real HTTP both ways: who is told, asks."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bayd.core.rules import Rules
from bayd.credentials import Credentials
from bayd.reference.qod import ClientRegistration
from bayd.runtime.clock import SystemClock
from bayd.runtime.randomness import SystemRandomness
from bayd.settings import Configuration, load
from bayd.wiring.qod import QodParts
from tests.free_ports import free_port
from tests.let_out import keep_secret
from tests.reference.qod.harness import Running, running
from tests.reference.qod.test_events import RealClock
from tests.simulation.world import SimLog, World

SECRET = "a-client-secret-of-the-tests"
WITHIN_S = 20.0  # without events the operator is asked after 30 s


def configure(directory: Path, operator: str) -> Configuration:
    port = free_port()
    file = directory / "bayd.toml"
    file.write_text(
        f'[state]\ndir = "{directory}"\n'
        f'[qod]\ndialect = "camara-1.1"\nbase_url = "{operator}/quality-on-demand/v1"\n'
        'profile = "QOS_E"\napplication_server = "203.0.113.10"\n'
        f'[qod.webhook]\nurl = "http://127.0.0.1:{port}/qod"\nlisten = "127.0.0.1:{port}"\n'
        '[bays.101]\nrfid = false\n[bays.101.qod]\nphone_number = "+15550100"\n'
    )
    return load(file, {})


@dataclass
class Told:
    parts: QodParts
    log: SimLog

    @property
    def webhook(self) -> dict[str, int]:
        counts: dict[str, int] = self.parts.section()["webhook"]
        return counts

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not holds():  # noqa: ASYNC110 # the operator's clock is the real one
                await asyncio.sleep(0.02)


@asynccontextmanager
async def told(tmp_path: Path, configuration: Configuration) -> AsyncIterator[Told]:
    """The daemon's part at work, and a bay that plays."""
    keep_secret(SECRET, "15550100")
    world = World(tmp_path / "journal.db", {"101": Rules()})
    world.clock = SystemClock()  # type: ignore[assignment] # the operator's events have times
    async with world.up() as bays:
        credentials = Credentials(qod_client_id="bayd", qod_client_secret=SECRET)
        parts = QodParts(
            configuration, credentials, bays, clock=world.clock, randomness=SystemRandomness(), log=world.log
        )
        bays.observe(parts)
        async with asyncio.TaskGroup() as tasks:
            running_parts = tasks.create_task(parts.run(), name="qod")
            await world.play("101")
            yield Told(parts, world.log)
            running_parts.cancel()
        await parts.aclose()
    assert SECRET not in str(world.log.lines)
    assert "+15550100" not in str(world.log.lines)


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(
        tmp_path / "operator.db",
        clock=RealClock(),
        dialect="camara-1.1",
        faults=True,
        clients={"bayd": ClientRegistration(secret=SECRET)},
        requested_delay_s=0.2,
    ) as operator:
        yield operator


async def test_who_is_told_asks(tmp_path: Path, operator: Running) -> None:
    """Events come doubled; the network ends the session, and the bay knows before it would have asked."""
    await operator.order("event", copies=3)
    async with told(tmp_path, configure(tmp_path, operator.url)) as bay:
        await bay.until(lambda: bay.parts.state("101") == "available")
        await bay.until(lambda: bay.webhook["doubled"] == 2)
        await operator.order("terminate_now")
        await bay.until(lambda: bay.parts.state("101") == "ended")
        assert bay.webhook["refused"] == 0
        section = bay.parts.section()
        assert {"states", "sessions_today", "minutes_today", "orphans"} <= section.keys()  # for the metrics
        assert section["states"] == {"ended": 1}
    (row,) = await operator.ledger()
    assert row["cause"] == "NETWORK_TERMINATED"


async def test_events_out_of_their_order_bring_nothing_back(tmp_path: Path, operator: Running) -> None:
    """That it is AVAILABLE arrives after that it is not."""
    await operator.order("event", status="AVAILABLE", after_the_next=True)
    async with told(tmp_path, configure(tmp_path, operator.url)) as bay:
        await bay.until(lambda: bay.parts.state("101") == "available")
        await operator.order("terminate_now")
        await bay.until(lambda: bay.webhook["looked_at"] + bay.webhook["ignored"] == 2)
        await bay.until(lambda: bay.parts.state("101") == "ended")
    (row,) = await operator.ledger()
    assert row["cause"] == "NETWORK_TERMINATED"


async def test_a_door_that_cannot_be_opened_costs_no_low_latency(tmp_path: Path, operator: Running) -> None:
    configuration = configure(tmp_path, operator.url)
    qod = configuration.settings.qod
    assert qod is not None and qod.webhook is not None
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(qod.webhook.listen.rpartition(":")[2])))
        taken.listen()
        async with told(tmp_path, configuration) as bay:
            await bay.until(lambda: bay.parts.state("101") == "available")
            assert [warning["code"] for warning in bay.parts.warnings()] == ["qod_webhook_off"]
    assert "qod_webhook_off" in bay.log.events()
