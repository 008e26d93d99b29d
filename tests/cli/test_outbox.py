"""`bayd outbox` against a real local HTTP service: lists, orders, exit codes."""

import asyncio
import json
from pathlib import Path

import pytest

from bayd.core import events as e
from tests.cli.command import Ran, bayd_here
from tests.free_ports import free_port
from tests.web.house import SCREEN, STAFF, House, Item

SINCE_MS = 1_790_000_000_000
PARKED = Item(17, "109", "7", "SessionExtended", SINCE_MS, "it cannot be told", parked=True)
WAITING = Item(21, "110", "8", "SessionEnded", SINCE_MS, "", parked=False)


@pytest.fixture
async def house(tmp_path: Path):  # type: ignore[no-untyped-def]
    async with House(tmp_path / "journal.db").open() as opened:
        opened.outbox = [PARKED, WAITING]
        yield opened


async def outbox(house: House, *arguments: str, token: str = STAFF) -> Ran:
    env = {"BAYD_URL": house.url(""), "BAYD_TOKEN": token}
    return await asyncio.to_thread(bayd_here, "outbox", *arguments, env=env)


async def test_it_lists_what_was_set_aside_and_what_waits(house: House) -> None:
    said = await outbox(house, "list")
    assert said.code == 0
    first, second = said.out.splitlines()
    assert "17  bay 109" in first
    assert "set aside  SessionExtended of session 7: it cannot be told" in first
    assert "waits  SessionEnded of session 8" in second
    parked = json.loads((await outbox(house, "list", "--parked", "--json")).out)
    assert [item["seq"] for item in parked["items"]] == [17]
    assert (await outbox(house, "list", "--bay", "111")).out == "nothing waits\n"


@pytest.mark.parametrize(("what", "kind"), [("retry", e.DeliveryRetried), ("drop", e.DeliveryDropped)])
async def test_what_staff_decide_is_journaled_at_the_bay(
    house: House, what: str, kind: type[e.Event]
) -> None:
    said = await outbox(house, what, "17", "--reason", "the desk has put it right")
    assert (said.code, said.err) == (0, "")
    (record,) = await house.journal.read(0, bay="109")
    decided = record.event
    assert isinstance(decided, e.DeliveryRetried | e.DeliveryDropped)
    assert type(decided) is kind
    assert (decided.seq, decided.by) == (17, "anna")


async def test_what_goes_on_after_a_drop_is_said(house: House) -> None:
    house.outbox = [
        PARKED,
        Item(18, "109", "7", "SessionExtended", SINCE_MS, "after item 17", parked=True, waits_for=17),
        Item(19, "109", "9", "SessionExtended", SINCE_MS, "refused", parked=True),
    ]
    early = await outbox(house, "retry", "18", "--reason", "put right")
    assert (early.code, "Item 17 of the same session comes first" in early.err) == (1, True)
    said = await outbox(house, "drop", "17", "--reason", "entered by hand")
    assert said.code == 0
    assert "what waited for it is tried now: item 18" in said.out
    assert "waited" not in (await outbox(house, "drop", "19", "--reason", "by hand")).out


async def test_what_cannot_be_done_says_why(house: House) -> None:
    gone = await outbox(house, "drop", "99", "--reason", "x")
    assert (gone.code, "not in the outbox" in gone.err) == (1, True)
    early = await outbox(house, "retry", "21", "--reason", "x")
    assert (early.code, "not set aside" in early.err) == (1, True)
    assert (await outbox(house, "retry", "17")).code == 2
    refused = await outbox(house, "list", token=SCREEN)
    assert (refused.code, "role_not_allowed" in refused.err) == (1, True)
    assert await house.kinds() == []


def test_without_a_daemon_it_is_unavailable() -> None:
    said = bayd_here("outbox", "list", env={"BAYD_URL": f"http://127.0.0.1:{free_port()}"})
    assert said.code == 69
