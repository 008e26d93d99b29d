"""What the daemon says of itself, and that nobody is sent again what they have."""

import asyncio
import re
from pathlib import Path

import pytest

from bayd.core import inputs as i
from bayd.core.model import DeviceState
from bayd.core.rules import Rules
from bayd.journal import ThreadJournalExecutor
from bayd.web.views import rfc3339
from tests.simulation.world import HeldExecutor
from tests.web.house import PLAYER, SCREEN, STAFF, TECHNICIAN, House, Item

BAY = "/api/v1/bays/109"
PAGES = [(BAY, SCREEN), ("/status", None)]


async def test_the_status_shows_everything_and_nobody(house: House) -> None:
    await house.play()
    await house.bays.submit("109", i.DeviceReported("dispenser", DeviceState.FAULT, "jam"))
    status = (await house.ask("GET", "/status")).json
    assert set(status) == {
        "version", "started_at", "time_scale", "bays", "devices", "central", "qod", "warnings",
    }  # fmt: skip
    bay = status["bays"]["109"]
    assert (bay["phase"], bay["session"]["id"], bay["session"]["player"]) == ("playing", "7", None)
    assert 3_500 < bay["session"]["remaining_s"] <= 3_600
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", bay["session"]["ends_at"])
    assert status["devices"]["readers"]["east"]["reads"] == 7
    assert [(w["code"], w["bay"]) for w in status["warnings"]] == [
        ("no_ball_registry", None),
        ("dispenser_fault", "109"),
    ]
    assert PLAYER not in str(status)


async def test_what_a_section_says_beyond_the_promise_is_passed_on(house: House) -> None:
    house.central["ignored_old_sessions"] = 5
    assert (await house.ask("GET", "/status")).json["central"]["ignored_old_sessions"] == 5


async def test_a_watchdog_hears_whether_the_loop_turns_and_others_whether_bays_may_be_used(
    house: House,
) -> None:
    assert (await house.ask("GET", "/healthz")).json == {"status": "ok"}
    assert (await house.ask("GET", "/readyz")).json == {"status": "ready"}
    house.stalled = "the disk hangs"
    reply = await house.ask("GET", "/readyz")
    assert (reply.status, reply.json) == (503, {"status": "not ready", "reason": "the disk hangs"})
    assert (await house.ask("GET", "/healthz")).status == 200
    house.bays.ready.clear()
    assert (await house.ask("GET", "/readyz")).json["reason"] == "starting"
    assert (await house.ask("GET", "/version")).json == {"version": "0.0.1"}


@pytest.mark.parametrize(("path", "token"), PAGES)
async def test_nobody_is_sent_again_what_they_have(house: House, path: str, token: str | None) -> None:
    await house.play()
    first = await house.ask("GET", path, token=token)
    etag = first.headers["ETag"]
    assert etag.startswith('W/"')
    assert first.headers["Vary"] == "Authorization"
    for known in (etag, f'"other", {etag}', etag.removeprefix("W/"), "*"):
        again = await house.ask("GET", path, token=token, headers={"If-None-Match": known})
        assert (again.status, again.text) == (304, "")
        assert again.headers["ETag"] == etag
        assert again.headers["Cache-Control"] == "no-cache"
    # The seconds run on, and are no news; the states are.
    house.clock._offset_ms += 30_000
    house.clock.wall_step_ms += 30_000
    assert (await house.ask("GET", path, token=token, headers={"If-None-Match": etag})).status == 304
    await house.press("help")
    changed = await house.ask("GET", path, token=token, headers={"If-None-Match": etag})
    assert changed.status == 200
    assert changed.headers["ETag"] != etag


async def test_a_tag_that_is_none_gets_the_whole_answer(house: House) -> None:
    for known in ('"x"', "x", '"', 'W/"', ",,,", '"a" "b"', "\u20ac", 'W/"' + "x" * 5000 + '"'):
        reply = await house.ask("GET", "/status", headers={"If-None-Match": known})
        assert (reply.status, "bays" in reply.json) == (200, True), known


async def test_a_wall_clock_that_was_set_is_news(house: House) -> None:
    await house.play()
    etag = (await house.ask("GET", BAY, token=SCREEN)).headers["ETag"]
    house.clock.wall_step_ms += 3_600_000
    reply = await house.ask("GET", BAY, token=SCREEN, headers={"If-None-Match": etag})
    assert reply.status == 200


async def test_who_may_see_names_has_another_tag(house: House) -> None:
    await house.play()
    tags = {
        (await house.ask("GET", BAY, token=token)).headers["ETag"] for token in (SCREEN, STAFF, TECHNICIAN)
    }
    assert len(tags) == 2


async def test_staff_see_what_the_central_server_has_not_been_told(house: House) -> None:
    house.outbox = [
        Item(17, "109", "7", "SessionStarted", 1_790_000_000_000, "HTTP 422", parked=True),
        Item(21, "109", "7", "SessionEnded", 1_790_000_005_000, "", parked=False),
    ]
    reply = await house.ask("GET", "/api/v1/outbox", token=STAFF)
    assert [(item["seq"], item["parked"]) for item in reply.json["items"]] == [(17, True), (21, False)]
    assert reply.json["items"][0]["since"] == "2026-09-21T14:13:20.000Z"
    body = {"seq": 17, "reason": "entered by hand"}
    dropped = await house.press("delivery/drop", body, token=STAFF, key="once")
    assert dropped.status == 200
    assert (await house.kinds())[-1] == "DeliveryDropped"
    house.outbox = [Item(21, "109", "7", "SessionEnded", 1_790_000_005_000, "", parked=False)]
    again = await house.press("delivery/drop", body, token=STAFF, key="once")
    assert (again.status, again.headers["Idempotent-Replayed"]) == (200, "true")
    before = await house.kinds()
    for act, bay, seq, status, code in (
        ("drop", "109", 17, 404, "unknown_item"),
        ("retry", "109", 17, 404, "unknown_item"),
        ("drop", "110", 21, 404, "unknown_item"),  # of another bay
        ("retry", "109", 21, 409, "not_set_aside"),
    ):
        body = {"seq": seq, "reason": "entered by hand"}
        late = await house.press(f"delivery/{act}", body, token=STAFF, bay=bay)
        assert (late.status, late.code) == (status, code)
    assert await house.kinds() == before
    house.outbox = [
        Item(17, "109", "7", "SessionExtended", 1_790_000_000_000, "HTTP 422", parked=True),
        Item(
            18, "110", "7", "SessionExtended", 1_790_000_000_000, "after item 17", parked=True, waits_for=17
        ),
        Item(19, "110", "7", "SessionEnded", 1_790_000_000_000, "HTTP 422", parked=True),
    ]
    early = await house.press("delivery/retry", {"seq": 18, "reason": "x"}, token=STAFF, bay="110")
    assert (early.status, early.code) == (409, "earlier_item")
    an_end = await house.press("delivery/retry", {"seq": 19, "reason": "x"}, token=STAFF, bay="110")
    assert an_end.status == 200
    house.outbox = None
    refused = await house.ask("GET", "/api/v1/outbox", token=STAFF)
    assert (refused.status, refused.code) == (503, "unavailable")
    for token, status in ((SCREEN, 403), (TECHNICIAN, 403), (None, 401)):
        assert (await house.ask("GET", "/api/v1/outbox", token=token)).status == status


async def test_pages_are_answered_while_the_disk_hangs(closed_house: House) -> None:
    """They are read from memory; only what changes a bay waits for the disk."""
    disk = HeldExecutor()
    closed_house.executor = disk
    async with closed_house.open() as house:
        await house.play()
        disk.free.clear()
        async with asyncio.timeout(10):
            for path, token in (*PAGES, ("/healthz", None), ("/readyz", None), ("/metrics", None)):
                assert (await house.ask("GET", path, token=token)).status == 200


async def test_it_all_works_on_the_daemons_own_kind_of_journal(closed_house: House) -> None:
    """The other tests run the journal inline; the daemon gives it a thread."""
    closed_house.executor = ThreadJournalExecutor()
    async with closed_house.open() as house:
        await house.book()
        assert (await house.press("pin", {"pin": "246813"}, key="k")).status == 200
        assert (await house.press("pin", {"pin": "246813"}, key="k")).status == 200
        replies = await asyncio.gather(*(house.press("dispense", {"balls": 5}, key="d") for _ in range(5)))
        assert {reply.status for reply in replies} == {200}
        assert (await house.kinds()).count("PayoutRequested") == 1
    closed_house.executor.close()


async def test_the_status_of_a_large_site_is_quick_enough_to_be_polled(tmp_path: Path) -> None:
    house = House(tmp_path / "journal.db")
    rules = next(iter(house.rules.values()))
    house.rules = {str(number): rules for number in range(101, 229)}
    async with house.open():
        for number in house.rules:
            await house.play(number, number)
        loop = asyncio.get_running_loop()
        began = loop.time()
        replies = [await house.ask("GET", "/status") for _ in range(5)]
        assert [len(reply.json["bays"]) for reply in replies] == [128] * 5
        # Far from a benchmark: a hundredth of this is usual.
        assert loop.time() - began < 10


async def test_a_bay_without_a_reader_or_a_machine_has_none(closed_house: House) -> None:
    closed_house.rules["110"] = Rules(reader=False)
    async with closed_house.open() as house:
        bays = (await house.ask("GET", "/status")).json["bays"]
        assert {name: one["state"] for name, one in bays["110"]["devices"].items()} == {
            "reader": "none", "dispenser": "none", "screen": "unknown",
        }  # fmt: skip
        assert {one["state"] for one in bays["109"]["devices"].values()} == {"unknown"}


async def test_staff_read_why_and_since_when_a_bay_is_held(house: House) -> None:
    assert (await house.ask("GET", BAY, token=STAFF)).json["kept"] is None
    began = rfc3339(house.clock.now().wall_ms)
    await house.press("hold", {"reason": "a lesson for Mr Example"}, token=STAFF)
    done = rfc3339(house.clock.now().wall_ms)
    house.clock.go_on(3_600_000)
    kept = (await house.ask("GET", BAY, token=STAFF)).json["kept"]
    assert kept["reason"] == "a lesson for Mr Example"
    assert began <= kept["since"] <= done
    for who, path in ((TECHNICIAN, BAY), (None, "/status")):
        assert "Mr Example" not in (await house.ask("GET", path, token=who)).text
    await house.press("release", token=STAFF)
    assert (await house.ask("GET", BAY, token=STAFF)).json["kept"] is None
    await house.press("service/stop", {"reason": "torn net"}, token=STAFF)
    assert (await house.ask("GET", BAY, token=STAFF)).json["kept"]["reason"] == "torn net"


async def test_a_bay_that_waits_for_its_guest_says_since_when(closed_house: House) -> None:
    closed_house.rules["109"] = Rules(hold_minutes=15)
    async with closed_house.open() as house:
        began = rfc3339(house.clock.now().wall_ms)
        await house.book()
        done = rfc3339(house.clock.now().wall_ms + 1_000)
        house.clock.go_on(20 * 60_000)
        waiting = (await house.ask("GET", BAY, token=STAFF)).json["waiting"]
        assert waiting["session_id"] == "7"
        assert began <= waiting["since"] <= done
        await house.press("start", {"reason": "no slip"}, token=STAFF)
        assert (await house.ask("GET", BAY, token=STAFF)).json["waiting"] is None


async def test_a_mode_that_staff_set_shows_why_to_staff_alone(house: House) -> None:
    body = {"mode": "free_play", "until": "day_end", "reason": "open day of the Example club"}
    assert (await house.press("mode", body, token=STAFF)).status == 200
    mode = (await house.ask("GET", BAY, token=STAFF)).json["mode"]
    assert mode == {
        "name": "free_play", "until": None, "by_staff": True, "today": True, "reason": body["reason"],
    }  # fmt: skip
    assert "Example club" not in (await house.ask("GET", "/status")).text


async def test_the_range_tells_what_concerns_all_bays(house: House) -> None:
    assert (await house.ask("GET", "/api/v1/range")).json["central"]["online"]
    house.central.update(online=False, outbox=3, oldest_s=20.0)
    reply = await house.ask("GET", "/api/v1/range")
    assert (reply.json["central"]["outbox"], [w["code"] for w in reply.json["warnings"]]) == (
        3,
        ["no_ball_registry"],
    )
    house.central["oldest_s"] = 25.0  # the clock alone
    same = await house.ask("GET", "/api/v1/range", headers={"If-None-Match": reply.headers["ETag"]})
    assert same.status == 304


async def test_the_range_tells_who_waits_for_staff_the_longest_first(house: House) -> None:
    await house.play()
    await house.press("extend", {"minutes": 30})
    await house.press("help", token=STAFF, bay="110")
    house.clock.go_on(5_000)
    reply = await house.ask("GET", "/api/v1/range")
    calls = [(call["bay"], call["kind"], call["minutes"]) for call in reply.json["calls"]]
    assert sorted(calls) == [("109", "time", 30), ("110", "help", None)]
    assert all(call["since_s"] >= 5 for call in reply.json["calls"])
    house.clock.go_on(1_000)  # that they wait on is no news
    headers = {"If-None-Match": reply.headers["ETag"]}
    assert (await house.ask("GET", "/api/v1/range", headers=headers)).status == 304


async def test_who_comes_next_is_for_staff_alone(house: House) -> None:
    await house.book(minutes=45)

    async def seen(token: str | None) -> tuple[object, object]:
        bay = (await house.ask("GET", "/api/v1/bays/109", token=token)).json
        return bay["next_minutes"], bay["next_player"]

    assert await seen(STAFF) == (45, PLAYER)
    for token in (SCREEN, TECHNICIAN):
        assert await seen(token) == (None, None)


async def test_a_warning_that_only_the_daemon_finds_at_a_bay_is_shown_with_the_bay_everywhere(
    house: House,
) -> None:
    text = "25 balls were paid out and none was read."
    house.range_warnings = [{"code": "balls_not_read", "since": None, "text": text, "bay": "109"}]
    for path in ("/status", "/api/v1/range"):
        assert [w["bay"] for w in (await house.ask("GET", path)).json["warnings"]] == ["109"]
    for path in ("/handover", "/"):
        page = await house.ask("GET", path, token=STAFF, described=False)
        assert f"109: {text}" in page.text


async def test_the_board_says_since_when_something_is_wrong(house: House) -> None:
    at = "2020-01-02T03:35:00Z"
    house.range_warnings = [{"code": "reader_away", "since": at, "text": "Reader east is away."}]
    await house.bays.submit("109", i.DeviceReported("reader", DeviceState.LOST, "unplugged"))
    text = (await house.ask("GET", "/", token=STAFF, described=False)).text
    assert len(re.findall(r"Reader east is away\.<span[^>]*> since 2020-01-02 09:05</span>", text)) == 1
    assert len(re.findall(r"unplugged[^<]*<span[^>]*> since \d\d:\d\d</span>", text)) == 1


async def test_a_disk_that_hangs_is_seen_in_the_writes_that_wait(closed_house: House) -> None:
    disk = HeldExecutor()
    closed_house.executor = disk

    async def waiting() -> int:
        reply = await closed_house.ask("GET", "/api/v1/devices/figures", token=TECHNICIAN)
        count: int = reply.json["commits"]["waiting"]
        return count

    async with closed_house.open() as house:
        assert await waiting() == 0
        disk.free.clear()
        async with asyncio.TaskGroup() as tasks:
            for bay in ("109", "110"):
                tasks.create_task(house.press("help", token=STAFF, bay=bay), name=bay)
            async with asyncio.timeout(20):
                while await waiting() < 2:  # noqa: ASYNC110 # the other side is a server
                    await asyncio.sleep(0)
            disk.free.set()
        assert await waiting() == 0
