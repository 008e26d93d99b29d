"""The daemon's part of QoD and the reference operator, over real HTTP both ways: who is told, asks."""

import asyncio
import socket
from pathlib import Path

from bayd.core.rules import Rules
from bayd.credentials import Credentials
from bayd.qod_wiring import QodParts
from bayd.reference.qod import ClientRegistration
from bayd.runtime.clock import SystemClock
from bayd.runtime.randomness import SystemRandomness
from bayd.settings import Configuration, load
from tests.reference.qod.harness import running
from tests.reference.qod.test_events import RealClock
from tests.simulation.world import World

SECRET = "a-client-secret-of-the-tests"
WITHIN_S = 20.0  # without events the operator is asked after 30 s


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


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


async def until(parts: QodParts, state: str) -> None:
    async with asyncio.timeout(WITHIN_S):
        while parts.state("101") != state:  # noqa: ASYNC110 # the operator's clock is the real one
            await asyncio.sleep(0.02)


async def test_who_is_told_asks(tmp_path: Path) -> None:
    """Events doubled and late; the network ends the session, and the bay knows before it would have asked."""
    clients = {"bayd": ClientRegistration(secret=SECRET)}
    async with running(
        tmp_path / "operator.db",
        clock=RealClock(),
        dialect="camara-1.1",
        faults=True,
        clients=clients,
        requested_delay_s=0.2,
    ) as operator:
        world = World(tmp_path / "journal.db", {"101": Rules()})
        world.clock = clock = SystemClock()  # type: ignore[assignment] # the operator's events have times
        configuration = configure(tmp_path, operator.url)
        credentials = Credentials(qod_client_id="bayd", qod_client_secret=SECRET)
        async with world.up() as bays:
            parts = QodParts(
                configuration, credentials, bays, clock=clock, randomness=SystemRandomness(), log=world.log
            )
            bays.observe(parts)
            async with asyncio.TaskGroup() as tasks:
                running_parts = tasks.create_task(parts.run(), name="qod")
                await operator.order("event", copies=3)
                await world.play("101")
                await until(parts, "available")
                async with asyncio.timeout(WITHIN_S):
                    while parts.section()["webhook"]["doubled"] < 2:  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
                await operator.order("terminate_now")
                await until(parts, "ended")
                running_parts.cancel()
            await parts.aclose()
        (row,) = await operator.ledger()
        assert row["cause"] == "NETWORK_TERMINATED"
        assert SECRET not in str(world.log.lines)
