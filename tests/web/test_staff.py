"""Named staff: who may sign in, how often one may guess, and when a session is over."""

import asyncio
import contextlib
import json
import sqlite3
from pathlib import Path

import aiohttp
import pytest

from bayd.core.inputs import Actor, Role
from bayd.core.rules import Rules
from bayd.web.browsers import COOKIE
from bayd.web.sign_in_tries import SignInTries
from bayd.web.staff_accounts import Refused, TrivialPinError, refuse_trivial
from tests.cli.command import Ran, bayd_here
from tests.let_out import keep_secret
from tests.web.house import AUTO_LOCK_MS, SCREEN, STAFF, House, Reply

ROOT = Actor(Role.STAFF, "local:root")
RIGHT = "480275"
WRONG = "913640"


@pytest.fixture
async def asha(house: House) -> House:
    keep_secret(RIGHT, WRONG)
    await house.accounts.put("asha", Role.STAFF, RIGHT, ROOT)
    return house


async def login(house: House, pin: str = RIGHT, name: str = "asha") -> Reply:
    return await house.ask("POST", "/api/v1/login", body={"name": name, "pin": pin})


def cookie_of(reply: Reply) -> dict[str, str]:
    value = reply.headers["Set-Cookie"]
    assert "HttpOnly" in value and "SameSite=Strict" in value
    token = value.partition(f"{COOKIE}=")[2].partition(";")[0]
    return {"Cookie": f"{COOKIE}={token}"}


async def test_a_name_and_a_pin_give_a_session_of_that_name(asha: House) -> None:
    reply = await login(asha)
    assert (reply.status, reply.json) == (200, {"role": "staff", "name": "asha", "bay": None})
    who = await asha.ask("GET", "/api/v1/session", headers=cookie_of(reply))
    assert who.json["name"] == "asha"
    acts = [row.note for row in await asha.journal.audit(0, 2**62)]
    assert [(act.who, act.act) for act in acts] == [("local:root", "StaffAdded"), ("asha", "StaffSignedIn")]
    assert RIGHT not in str(asha.log.lines)
    rows = sqlite3.connect(asha.path).execute("SELECT * FROM staff").fetchall()
    assert RIGHT not in str(rows)


async def test_guessing_locks_the_name_as_it_locks_a_pad(asha: House) -> None:
    for left in (4, 3, 2, 1, 0):
        reply = await login(asha, WRONG)
        assert (reply.status, reply.code, reply.json["tries_left"]) == (401, "wrong_login", left)
    locked = await login(asha)  # even with the right one
    assert locked.status == 423
    assert 50 < locked.json["retry_after_s"] <= 60
    asha.clock.go_on(60_000)
    assert 110 < (await login(asha, WRONG)).json["retry_after_s"] <= 120
    asha.clock.go_on(120_000)
    assert (await login(asha)).status == 200
    assert (await login(asha, WRONG)).json["tries_left"] == 4


async def test_nobody_learns_which_names_there_are(tmp_path: Path) -> None:
    """Neither from the answers, nor from the commits that they wait for, nor after a restart."""
    house = House(tmp_path / "journal.db")
    answers: dict[str, list[object]] = {"asha": [], "nobody": []}
    commits: dict[str, list[int]] = {"asha": [], "nobody": []}
    async with house.open():
        await house.accounts.put("asha", Role.STAFF, RIGHT, ROOT)
    for tries in (4, 2):
        async with house.open():
            for name, said in answers.items():
                for _ in range(tries):
                    before = commits_of(house)
                    reply = await login(house, WRONG, name)
                    commits[name].append(commits_of(house) - before)
                    said.append((reply.status, reply.code, reply.json.get("tries_left")))
    assert answers["asha"] == answers["nobody"]
    assert answers["asha"][4:] == [(401, "wrong_login", 0), (423, "locked", 0)]
    assert commits["asha"] == commits["nobody"]
    assert commits["asha"][0] > 0


def commits_of(house: House) -> int:
    ((number,),) = sqlite3.connect(house.path).execute("SELECT number FROM commit_mark").fetchall()
    return int(number)


async def test_who_guesses_elsewhere_locks_nobody_out(asha: House) -> None:
    guesser = "203.0.113.7"
    for left in (4, 3, 2, 1, 0):
        assert await asha.accounts.sign_in("asha", WRONG, guesser) == Refused(
            "wrong", left, None if left else 60
        )
    assert (await login(asha)).status == 200
    assert await asha.accounts.sign_in("asha", RIGHT, guesser) == Refused("locked_out", 0, 60)
    listed = await asha.ask("GET", "/api/v1/staff", token=STAFF)
    assert listed.json["staff"][0]["locked_for_s"] == 60


async def test_many_addresses_have_not_many_times_the_tries(asha: House) -> None:
    tried = [await asha.accounts.sign_in("asha", WRONG, f"203.0.113.{n}") for n in range(60)]
    wrong = [one for one in tried if isinstance(one, Refused) and one.why == "wrong"]
    assert (len(wrong), wrong[-1].tries_left) == (50, 0)
    assert tried[50] == Refused("locked_out", 0, 60)
    assert (await login(asha)).status == 423


async def test_from_where_a_person_has_signed_in_nobody_elsewhere_keeps_them_out(tmp_path: Path) -> None:
    house = House(tmp_path / "journal.db")
    async with house.open():
        await house.accounts.put("asha", Role.STAFF, RIGHT, ROOT)
        assert (await login(house)).status == 200
        for n in range(60):
            await house.accounts.sign_in("asha", WRONG, f"203.0.113.{n}")
        assert await house.accounts.sign_in("asha", RIGHT, "203.0.113.99") == Refused("locked_out", 0, 60)
    async with house.open():
        assert await house.accounts.sign_in("asha", RIGHT, "203.0.113.99") == Refused("locked_out", 0, 60)
        assert (await login(house)).status == 200
        # Right once: the tries of all addresses begin anew.
        assert isinstance(await house.accounts.sign_in("asha", RIGHT, "203.0.113.99"), Actor)


async def test_tries_without_end_are_not_kept_without_end(asha: House) -> None:
    tries = SignInTries(asha.journal, Rules(), asha.clock, kept=4)
    for n in range(20):
        await tries.count(f"n{n}", "203.0.113.7", lambda _writer: None)
    rows = sqlite3.connect(asha.path).execute("SELECT name FROM sign_in_tries ORDER BY rowid").fetchall()
    assert rows == [("n18",), ("n18",), ("n19",), ("n19",)]


async def test_a_wrong_pin_stands_in_the_audit_and_a_name_that_nobody_has_does_not(asha: House) -> None:
    await login(asha, WRONG)
    await login(asha, WRONG, "nobody")
    rows = [row.note for row in await asha.journal.audit(0, 2**62)]
    assert [(r.act, r.who, r.role, dict(r.asked)) for r in rows[1:]] == [
        ("StaffNotSignedIn", "127.0.0.1", "nobody", {"name": "asha"})
    ]


async def test_who_signs_in_while_being_locked_out_is_out(tmp_path: Path) -> None:
    """Whatever comes first: there is never a session of somebody who is locked."""
    house = House(tmp_path / "journal.db")
    house.socket = tmp_path / "bayd.sock"
    async with house.open():
        body = {"name": "asha", "reason": "has left us"}
        connector = aiohttp.UnixConnector(str(house.socket))
        async with aiohttp.ClientSession("http://bayd", connector=connector) as root:
            for ticks in range(30):
                await house.accounts.put("asha", Role.STAFF, RIGHT, ROOT)
                async with asyncio.TaskGroup() as tasks:
                    signing_in = tasks.create_task(login(house), name="login")
                    for _ in range(ticks):
                        await asyncio.sleep(0)
                    async with root.post("/api/v1/staff/lock", json=body) as locked:
                        assert locked.status == 200
                reply = signing_in.result()
                if reply.status == 200:
                    who = await house.ask("GET", "/api/v1/session", headers=cookie_of(reply))
                    assert who.status == 401
        assert house.accounts.people()[0].locked


@pytest.mark.parametrize("other_boot", [False, True])
async def test_a_lock_outlives_a_restart(tmp_path: Path, other_boot: bool) -> None:
    house = House(tmp_path / "journal.db")
    async with house.open():
        await house.accounts.put("asha", Role.STAFF, RIGHT, ROOT)
        for _ in range(5):
            await login(house, WRONG)
    house.clock.go_on(20_000)
    if other_boot:
        house.clock.reboot()
    async with house.open():
        reply = await login(house)
        assert reply.status == 423
        assert (reply.json["retry_after_s"] > 45) == other_boot


async def test_an_untouched_board_locks_itself(asha: House) -> None:
    headers = cookie_of(await login(asha))
    asha.clock.go_on(AUTO_LOCK_MS - 60_000)
    stay = await asha.ask(
        "POST", "/api/v1/session/stay", body={}, headers={**headers, "Origin": asha.url("")}
    )
    assert stay.status == 204
    asha.clock.go_on(AUTO_LOCK_MS - 60_000)
    assert (await asha.ask("GET", "/api/v1/session", headers=headers)).status == 200
    asha.clock.go_on(60_001)
    assert (await asha.ask("GET", "/api/v1/session", headers=headers)).status == 401


async def test_turning_the_pages_is_a_touch_and_a_script_that_asks_is_none(asha: House) -> None:
    headers = cookie_of(await login(asha))
    for _ in range(3):
        asha.clock.go_on(AUTO_LOCK_MS - 60_000)
        turned = {**headers, "Sec-Fetch-Dest": "document"}
        reply = await asha.ask("GET", "/day", headers=turned, described=False)
        assert reply.status == 200
    asha.clock.go_on(AUTO_LOCK_MS - 60_000)
    assert (await asha.ask("GET", "/api/v1/devices/figures", headers=headers)).status == 200
    asha.clock.go_on(60_001)
    assert (await asha.ask("GET", "/api/v1/devices/figures", headers=headers)).status == 401


async def test_a_stream_ends_with_the_session_that_opened_it(asha: House) -> None:
    headers = cookie_of(await login(asha))
    async with asha.http.get(asha.url("/api/v1/events"), headers=headers) as stream:
        assert (await stream.content.readline()).startswith(b"retry")
        asha.clock.go_on(AUTO_LOCK_MS)
        asha.sessions.end_idle()
        async with asyncio.timeout(20):
            with contextlib.suppress(aiohttp.ClientError):
                while await stream.content.readline():
                    pass
        assert asha.streams.viewers == 0


async def test_who_is_locked_out_is_out_at_once(tmp_path: Path) -> None:
    house = House(tmp_path / "journal.db")
    house.socket = tmp_path / "bayd.sock"
    async with house.open():
        added = await staff_tool(house, "add", "asha", pin=RIGHT)
        assert (added.code, "asha" in added.out) == (0, True), added.err
        headers = cookie_of(await login(house))
        locked = await staff_tool(house, "lock", "asha", "--reason", "has left us")
        assert (locked.code, "locked" in locked.out) == (0, True)
        assert (await house.ask("GET", "/api/v1/session", headers=headers)).status == 401
        assert (await login(house)).code == "staff_locked"
        assert (await login(house, WRONG)).code == "wrong_login"
        again = await staff_tool(house, "add", "asha", pin=WRONG)
        assert (again.code, "--replace" in again.err) == (1, True)
        assert (await staff_tool(house, "add", "asha", "--replace", pin=WRONG)).code == 0
        assert (await login(house)).code == "wrong_login"
        assert (await login(house, WRONG)).status == 200
        listed = json.loads((await staff_tool(house, "list", "--json")).out)["staff"]
        assert [(one["name"], one["locked"]) for one in listed] == [("asha", False)]
        row = next(r.note for r in await house.journal.audit(0, 2**62) if r.note.act == "StaffLocked")
        assert (row.reason, dict(row.before)["locked"], dict(row.after)["locked"]) == (
            "has left us", False, True,
        )  # fmt: skip


async def staff_tool(house: House, *arguments: str, pin: str = "") -> Ran:
    assert house.socket is not None
    return await asyncio.to_thread(
        bayd_here, "staff", *arguments, "--socket", str(house.socket), typed=f"{pin}\n"
    )


async def test_the_board_gives_nobody_an_account(asha: House) -> None:
    body = {"name": "bo", "role": "staff", "pin": WRONG}
    for path, sent in (("add", body), ("lock", {"name": "asha", "reason": "x"})):
        reply = await asha.ask("POST", f"/api/v1/staff/{path}", token=STAFF, body=sent)
        assert (reply.status, reply.code) == (403, "local_only")
    assert (await asha.ask("POST", "/api/v1/staff/add", token=SCREEN, body=body)).status == 403
    assert [person.name for person in asha.accounts.people()] == ["asha"]


async def test_a_screen_stays_a_screen(asha: House) -> None:
    headers = {"Cookie": await asha.let_in(), "Origin": asha.url("")}
    reply = await asha.ask("POST", "/api/v1/login", body={"name": "asha", "pin": RIGHT}, headers=headers)
    assert (reply.status, reply.code) == (409, "is_screen")


async def test_without_a_site_key_nobody_signs_in(tmp_path: Path) -> None:
    house = House(tmp_path / "journal.db")
    house.site_key = None
    async with house.open():
        reply = await login(house)
        assert (reply.status, reply.code) == (503, "staff_login_off")


@pytest.mark.parametrize(
    "pin",
    ["000000", "111112", "121212", "123123", "123456", "654321", "98765432", "12345", "12345a", "٣٣٤٥٦٧"],
)
def test_a_pin_that_everybody_tries_is_none(pin: str) -> None:
    with pytest.raises(TrivialPinError):
        refuse_trivial(pin)


@pytest.mark.parametrize("pin", [RIGHT, WRONG, "135790", "2580147"])
def test_other_pins_are_taken(pin: str) -> None:
    with contextlib.nullcontext() as refused:
        refuse_trivial(pin)
    assert refused is None
