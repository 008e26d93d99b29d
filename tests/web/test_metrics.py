"""What Prometheus gets: the figures that alarms are made of, bounded, explained and impersonal."""

import asyncio
import re
import time

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from bayd.core import inputs as i
from bayd.core.model import DeviceState, PayoutEnd
from bayd.core.rules import Rules
from bayd.runtime.loop_lag import watch_loop
from tests.simulation.world import HeldExecutor
from tests.web.house import PIN, PLAYER, SCREEN, STAFF, House

OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
TAP = i.Actor(i.Role.SCREEN, "screen")
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scrape(house: House) -> Series:
    await house.told()
    reply = await house.ask("GET", "/metrics")
    assert reply.status == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse(reply.text)
        for sample in family.samples
    }


def value(series: Series, name: str, **labels: str) -> float:
    return series[f"bayd_{name}", frozenset(labels.items())]


async def pay(
    house: House, payout: str, balls: int, paid: int, end: PayoutEnd, *, known: bool = True
) -> None:
    screen = i.Actor(i.Role.SCREEN, "screen")
    await house.bays.submit("109", i.Dispense(payout, balls, screen))
    await house.bays.submit("109", i.PayoutMarkTaken(payout, balls, {"event": 1}))
    await house.bays.submit("109", i.PayoutProgressed(payout, paid))
    await house.bays.submit("109", i.PayoutEnded(payout, end, paid if known else None, "x"))


async def test_play_is_counted(house: House) -> None:
    await house.book()
    await house.press("pin", {"pin": "111111"})
    house.verifier.away = True
    await house.press("pin", {"pin": PIN})
    house.verifier.away = False
    await house.press("pin", {"pin": PIN})
    await pay(house, "p1", 12, 12, PayoutEnd.DONE)
    await pay(house, "p2", 10, 4, PayoutEnd.FAULT)
    await pay(house, "p3", 6, 2, PayoutEnd.UNKNOWN, known=False)
    await house.bays.submit("109", i.BallHeard("E280117000000001", house.clock.now().boot_ms))
    series = await scrape(house)
    for outcome, count in (("accepted", 1), ("refused", 1), ("not_checked", 1)):
        assert value(series, "pin_attempts_total", bay="109", outcome=outcome) == count
        assert value(series, "pin_attempts_total", bay="110", outcome=outcome) == 0
    assert value(series, "sessions_started_total", bay="109", started_by="pin_online") == 1
    assert value(series, "balls_paid_total", bay="109") == 18
    assert value(series, "balls_unknown_total", bay="109") == 4
    assert value(series, "balls_read_total", bay="109") == 1
    for end, count in (("done", 1), ("fault", 1), ("unknown", 1), ("stopped", 0), ("never_started", 0)):
        assert value(series, "payouts_total", bay="109", outcome=end) == count
    await house.press("end", {"reason": "x"}, token=STAFF)
    assert value(await scrape(house), "sessions_ended_total", bay="109", reason="staff") == 1


async def test_the_state_is_shown_as_it_is_now(house: House) -> None:
    await house.play()
    await house.bays.submit("109", i.DeviceReported("dispenser", DeviceState.FAULT, "jam"))
    await house.bays.submit("110", i.DeviceReported("reader", DeviceState.OK, ""))
    house.central.update(online=False, outbox=17, oldest_s=42.5, parked=2)
    series = await scrape(house)
    phases = {
        (dict(labels)["bay"], dict(labels)["phase"])
        for (name, labels), is_in in series.items()
        if name == "bayd_bay_phase" and is_in == 1
    }
    assert phases == {("109", "playing"), ("110", "free")}
    assert value(series, "bay_device_ok", bay="109", device="dispenser") == 0
    assert value(series, "bay_device_ok", bay="110", device="reader") == 1
    assert value(series, "reader_reads_total", reader="east") == 7
    assert value(series, "reader_blind_seconds_total", reader="east", port="1") == 0.5
    assert value(series, "reader_revisit_seconds", reader="east", port="1") == 0.24
    assert [value(series, "reader_port_listening", reader="east", port=port) for port in "18"] == [1, 0]
    assert ("bayd_reader_revisit_seconds", frozenset({"reader": "east", "port": "8"}.items())) not in series
    assert value(series, "central_online") == 0
    assert value(series, "outbox_events") == 17
    assert value(series, "outbox_oldest_seconds") == 42.5
    assert value(series, "outbox_parked") == 2
    assert value(series, "queue_sheds_total", queue="credits") == 3
    assert value(series, "journal_last_event") == house.journal.last_seq
    assert value(series, "build_info", version="0.0.1") == 1


async def test_low_latency_is_shown_where_it_is_on(house: House) -> None:
    assert not [name for name, _ in await scrape(house) if name.startswith("bayd_qod")]
    house.qod = {
        "state": "unreachable",
        "states": {"available": 2, "degraded": 1},
        "sessions_today": 7,
        "minutes_today": 90.5,
        "orphans": [{"bay": "109", "ends_in_s": 30.0}],
    }
    series = await scrape(house)
    assert value(series, "qod_up") == 0
    assert value(series, "qod_bays", state="available") == 2
    assert value(series, "qod_bays", state="ending") == 0
    assert value(series, "qod_today_sessions") == 7
    assert value(series, "qod_today_seconds") == 5430
    assert value(series, "qod_orphans") == 1


async def test_commits_are_timed_and_a_stall_is_seen(closed_house: House) -> None:
    disk = HeldExecutor()
    closed_house.executor = disk
    closed_house.rules = {"109": Rules(dispenser="east", intent_ttl_ms=300)}
    closed_house.patience_s = 0.3
    async with closed_house.open() as house:
        await house.play()
        before = await scrape(house)
        assert value(before, "journal_commit_seconds_count") > 0
        assert value(before, "journal_stalled_seconds") == 0
        disk.free.clear()
        heard = i.BallHeard("E280117000000001", house.clock.now().boot_ms)
        reports = asyncio.gather(house.bays.submit("109", heard))
        presses = (house.bays.submit("109", i.Dispense(f"p{n}", 1, TAP)) for n in range(3))
        await asyncio.gather(*presses, return_exceptions=True)
        # The feed cannot read either: no waiting for it here.
        reply = await house.ask("GET", "/metrics")
        stalled = re.search(r"^bayd_journal_stalled_seconds ([0-9.e-]+)$", reply.text, re.MULTILINE)
        assert stalled is not None
        assert float(stalled[1]) > 0.1  # the presses waited for 0.3 s
        assert 'bayd_requests_shed_total{bay="109"} 3.0' in reply.text
        assert re.search(r"^bayd_journal_waiting [1-9]", reply.text, re.MULTILINE)
        disk.free.set()
        await reports
        after = await scrape(house)
        assert value(after, "journal_commit_seconds_count") > value(before, "journal_commit_seconds_count")
        assert value(after, "journal_commit_seconds_sum") >= 0.29
        assert value(after, "journal_stalled_seconds") == 0


async def test_requests_are_counted_by_call_not_by_what_was_asked_for(house: House) -> None:
    for number in range(50):
        await house.ask("GET", f"/nowhere/{number}?x={number}")
        await house.ask("GET", f"/api/v1/bays/{number}", token=STAFF)
    await house.ask("PROPFIND", "/status")
    await house.ask("GET", "/api/v1/bays/109", token=SCREEN)
    series = await scrape(house)
    requests = {
        labels: count for (name, labels), count in series.items() if name == "bayd_http_requests_total"
    }
    seen = {tuple(sorted(dict(labels).values())): count for labels, count in requests.items()}
    assert seen == {
        ("404", "GET", "unknown"): 50,
        ("/api/v1/bays/{bay}", "404", "GET"): 50,
        ("/api/v1/bays/{bay}", "200", "GET"): 1,
        ("405", "other", "unknown"): 1,
    }


async def test_nothing_personal_is_in_it(house: House) -> None:
    await house.book()
    await house.press("pin", {"pin": "135790"})
    await house.press("pin", {"pin": PIN})
    await house.press("help", headers={"User-Agent": "secret-agent"})
    await scrape(house)
    text = (await house.ask("GET", "/metrics", headers=OPENMETRICS)).text
    for secret in (PIN, "135790", PLAYER, SCREEN, STAFF, "anna", "secret-agent", "127.0.0.1"):
        assert secret not in text


@pytest.mark.parametrize("accept", [{}, OPENMETRICS, {"Accept": "text/plain;version=0.0.4"}])
async def test_every_figure_says_what_it_is(house: House, accept: dict[str, str]) -> None:
    reply = await house.ask("GET", "/metrics", headers=accept)
    is_open = "openmetrics" in reply.headers["Content-Type"]
    assert is_open == (accept == OPENMETRICS)
    families = list((parse_openmetrics if is_open else parse)(reply.text))
    ours = [family for family in families if family.name.startswith("bayd_")]
    assert len(ours) > 30
    for family in ours:
        assert family.documentation.endswith("."), family.name
        assert family.name.endswith("_seconds") == (family.unit == "seconds") or not is_open
        assert not re.search(r"_(ms|milliseconds|minutes)(_|$)", family.name)


async def test_the_number_of_series_does_not_grow_with_what_happens(house: House) -> None:
    async def series() -> set[str]:
        text = (await house.ask("GET", "/metrics")).text
        return {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}

    async def evening(number: int) -> None:
        await house.play(session_id=str(number))
        await pay(house, f"p{number}", 5, 5, PayoutEnd.DONE)
        await house.press("end", {"reason": f"reason {number}"}, token=STAFF)
        house.clock._offset_ms += 3_600_000
        await house.bays.submit("109", i.TimeCame())

    await evening(7)
    await series()
    before = await series()
    for number in range(8, 20):
        await evening(number)
    assert await series() == before


async def test_a_deadline_that_is_seen_late_shows_how_late(house: House) -> None:
    await house.play(minutes=5)
    await scrape(house)
    house.clock._offset_ms += 4 * 60_000 + 800  # the warning of one minute is due since 0.8 s
    await house.bays.submit("109", i.TimeCame())
    assert value(await scrape(house), "timer_late_seconds_sum") > 0.7


async def test_a_loop_that_is_held_up_shows_by_how_long() -> None:
    lags: list[float] = []
    seen = asyncio.Event()

    def observe(lag_s: float) -> None:
        lags.append(lag_s)
        seen.set()

    async with asyncio.TaskGroup() as tasks:
        watch = tasks.create_task(watch_loop(observe), name="loop-lag")
        await asyncio.sleep(0)
        time.sleep(0.6)  # noqa: ASYNC251 # somebody who holds the loop up
        async with asyncio.timeout(20):
            await seen.wait()
        watch.cancel()
    assert 0.3 <= lags[0] < 20
