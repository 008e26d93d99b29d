"""Screens without a bay: codes, thieves of codes, screens that are replaced and put out."""

import asyncio
from http.cookies import SimpleCookie
from pathlib import Path

import aiohttp
import pytest

from bayd.core.inputs import Actor, Role
from bayd.journal import ThreadJournalExecutor
from bayd.web.browsers import COOKIE
from bayd.web.limits import Rate, RateLimits
from bayd.web.pairing import CODE_ALPHABET, CODE_LIFE_S, PAIRING_COOKIE
from tests.journal.world import Fault, FaultyDisk
from tests.web.house import SCREEN, STAFF, TECHNICIAN, House, Reply

BAY = "/api/v1/bays/109"


class Browser:
    """Keeps its cookies, and says where it is from when it changes something."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.cookies: dict[str, str] = {}

    async def get(self, path: str) -> Reply:
        return await self._ask("GET", path)

    async def post(self, path: str, body: object = None) -> Reply:
        return await self._ask("POST", path, {} if body is None else body)

    async def _ask(self, method: str, path: str, body: object = None) -> Reply:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if method == "POST":
            headers |= {"Origin": self.house.url(""), "Idempotency-Key": "one-press"}
        reply = await self.house.ask(method, path, body=body, headers=headers)
        for line in reply.headers.getall("Set-Cookie", []):  # type: ignore[attr-defined]
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
        return reply

    async def code(self) -> str:
        reply = await self.post("/api/v1/screens/code")
        assert reply.status == 200
        assert reply.json["expires_s"] == CODE_LIFE_S
        return str(reply.json["code"])

    async def claim(self) -> Reply:
        return await self.post("/api/v1/screens/claim")


async def pair(
    house: House, code: str, bay: str = "109", *, replace: bool = False, token: str | None = STAFF
) -> Reply:
    body = {"code": code, "bay": bay, "replace": replace}
    return await house.ask("POST", "/api/v1/screens/pair", token=token, body=body)


async def paired(house: House, bay: str = "109", *, replace: bool = False) -> Browser:
    browser = Browser(house)
    assert (await pair(house, await browser.code(), bay, replace=replace)).status == 200
    assert (await browser.claim()).json == {"state": "bound", "bay": bay}
    return browser


async def screens(house: House) -> list[tuple[str, str]]:
    document = (await house.ask("GET", "/api/v1/screens", token=STAFF)).json
    return [(one["bay"], one["id"]) for one in document["screens"]]


async def test_a_screen_is_let_in_to_the_bay_that_staff_named(house: House) -> None:
    browser = Browser(house)
    assert (await browser.get("/api/v1/session")).code == "token_missing"
    code = await browser.code()
    assert len(code) == 6
    assert set(code) <= set(CODE_ALPHABET)
    assert (await browser.claim()).json == {"state": "waiting", "bay": None}
    reply = await pair(house, f" {code[:3].lower()} {code[3:].lower()} ")
    assert (reply.status, reply.json) == (200, {"state": "waiting", "bay": "109"})
    assert (await browser.claim()).json == {"state": "bound", "bay": "109"}
    assert (await browser.get("/api/v1/session")).json == {"role": "screen", "name": "screen", "bay": "109"}
    assert (await browser.get(BAY)).status == 200
    assert (await browser.get("/api/v1/bays/110")).code == "other_bay"
    assert (await browser.post(f"{BAY}/help")).status == 200
    assert (await browser.post(f"{BAY}/start", {"reason": "because"})).code == "role_not_allowed"
    assert [bay for bay, _ in await screens(house)] == ["109"]


async def test_the_session_is_in_a_cookie_that_no_script_reads_and_nowhere_else(house: House) -> None:
    browser = Browser(house)
    code = await browser.code()
    await pair(house, code)
    reply = await browser.claim()
    (line,) = reply.headers.getall("Set-Cookie")  # type: ignore[attr-defined]
    for word in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age="):
        assert word in line
    assert "Secure" not in line  # plain HTTP on loopback: the browser would not send it back
    token = browser.cookies[COOKIE]
    assert token not in reply.text
    assert token.encode() not in house.path.read_bytes()
    assert token not in str(house.log.lines)
    assert code not in str(house.log.lines)


async def test_behind_tls_the_cookie_is_for_tls_alone(house: House) -> None:
    headers = {"Origin": "https://localhost"}
    reply = await house.ask("POST", "/api/v1/screens/code", body={}, headers=headers)
    assert "; Secure" in reply.headers["Set-Cookie"]


async def test_a_stolen_code_gives_nothing(house: House) -> None:
    browser, thief = Browser(house), Browser(house)
    code = await browser.code()
    assert (await thief.claim()).code == "no_code"
    for token, refusal in (
        (None, "token_missing"),
        (SCREEN, "role_not_allowed"),
        (TECHNICIAN, "role_not_allowed"),
    ):
        assert (await pair(house, code, token=token)).code == refusal
    await pair(house, code)
    assert (await thief.claim()).code == "no_code"
    thief.cookies[PAIRING_COOKIE] = code
    assert (await thief.claim()).code == "no_code"
    await browser.claim()
    assert (await pair(house, code, "110")).code == "code_used"
    assert (await pair(house, code)).status == 200  # the same again changes nothing
    assert len(await screens(house)) == 1
    assert (await thief.get(BAY)).code == "token_missing"


async def test_a_code_ends_with_its_time_and_with_the_next_one(house: House) -> None:
    browser = Browser(house)
    first = await browser.code()
    second = await browser.code()
    assert first != second
    assert (await pair(house, first)).code == "unknown_code"
    house.clock.reboot(house.clock.now().boot_ms + CODE_LIFE_S * 1000)
    assert (await pair(house, second)).code == "unknown_code"
    assert (await browser.claim()).code == "no_code"


async def test_an_answer_that_got_lost_is_asked_for_again(house: House) -> None:
    browser = Browser(house)
    await pair(house, await browser.code())
    await browser.claim()
    lost = browser.cookies.pop(COOKIE)
    assert (await browser.claim()).json == {"state": "bound", "bay": "109"}
    assert (await browser.get(BAY)).status == 200
    assert len(await screens(house)) == 1
    stranger = Browser(house)
    stranger.cookies[COOKIE] = lost
    assert (await stranger.get(BAY)).code == "token_missing"


async def test_another_screen_takes_the_place_only_when_that_is_said(house: House) -> None:
    old = await paired(house)
    new = Browser(house)
    code = await new.code()
    assert (await pair(house, code)).code == "bay_has_screen"
    assert (await new.claim()).json["state"] == "waiting"
    assert (await pair(house, code, replace=True)).status == 200
    assert (await old.get(BAY)).status == 200  # until the new one comes for it
    await new.claim()
    assert (await old.get(BAY)).code == "token_missing"
    assert (await new.get(BAY)).status == 200
    assert len(await screens(house)) == 1


async def test_of_two_codes_for_a_bay_the_second_is_refused_or_gives_up_the_first(house: House) -> None:
    first, second = Browser(house), Browser(house)
    assert (await pair(house, await first.code())).status == 200
    code = await second.code()
    assert (await pair(house, code)).code == "bay_has_screen"
    assert (await pair(house, code, replace=True)).status == 200
    assert (await second.claim()).json["state"] == "bound"
    assert (await first.claim()).code == "no_code"
    assert (await second.get(BAY)).status == 200
    assert len(await screens(house)) == 1


async def test_consent_is_for_the_screen_that_was_there(house: House) -> None:
    """Whoever comes late takes no place of a screen that staff never spoke of."""
    late, other = Browser(house), Browser(house)
    await paired(house)
    assert (await pair(house, await late.code(), replace=True)).status == 200
    ((_, old),) = await screens(house)
    body = {"id": old, "reason": "broken"}
    assert (await house.ask("POST", "/api/v1/screens/unbind", token=STAFF, body=body)).status == 200
    _, token = await house.sessions.begin(Actor(Role.SCREEN, "screen"), "109")  # by other means
    other.cookies[COOKIE] = token
    assert (await late.claim()).code == "no_code"
    assert (await other.get(BAY)).status == 200


async def test_claims_at_once_leave_one_session(tmp_path: Path) -> None:
    house = House(tmp_path / "journal.db")
    house.executor = ThreadJournalExecutor()
    async with house.open():
        browser = Browser(house)
        await pair(house, await browser.code())
        cookies = dict(browser.cookies)
        twins = [Browser(house) for _ in range(4)]
        for twin in twins:
            twin.cookies = dict(cookies)
        answers = await asyncio.gather(*(twin.claim() for twin in twins))
        assert [answer.status for answer in answers] == [200] * 4
        assert len(await screens(house)) == 1
        assert [(await twin.get(BAY)).status for twin in twins].count(200) == 1
    house.executor.close()


async def test_a_screen_that_was_put_out_stays_out(house: House) -> None:
    browser = await paired(house)
    ((_, session_id),) = await screens(house)
    url = house.url("/api/v1/events")
    headers = {"Cookie": f"{COOKIE}={browser.cookies[COOKIE]}"}
    async with house.http.get(url, headers=headers) as stream:
        await stream.content.readuntil(b"event: bays\n")
        assert (await house.ask("GET", "/api/v1/screens", token=STAFF)).json["screens"][0]["connected"]
        body = {"id": session_id, "reason": "new tablet"}
        reply = await house.ask("POST", "/api/v1/screens/unbind", token=STAFF, body=body)
        assert (reply.status, reply.json) == (200, {"screens": []})
        with pytest.raises(aiohttp.ClientPayloadError):  # cut off in the middle
            await stream.content.read()
    assert (await browser.get(BAY)).code == "token_missing"
    assert (await browser.claim()).code == "no_code"  # its old secret gives it nothing more
    again = await house.ask("POST", "/api/v1/screens/unbind", token=STAFF, body=body)
    assert again.code == "unknown_screen"


async def test_a_screen_that_is_put_out_on_a_full_disk_is_out_and_stays_out(closed_house: House) -> None:
    """A tablet that was stolen must not come back because nobody could write it down."""
    disk = FaultyDisk()
    closed_house.connect = disk.connect
    async with closed_house.open() as house:
        browser = await paired(house)
        ((_, session_id),) = await screens(house)
        disk.faults.append(Fault("COMMIT", times=1_000))
        body = {"id": session_id, "reason": "stolen"}
        reply = await house.ask("POST", "/api/v1/screens/unbind", token=STAFF, body=body)
        assert (reply.status, reply.code) == (503, "unbound_not_recorded")
        assert (await browser.get(BAY)).code == "token_missing"
        await house.sessions.record_ends()  # in vain
        disk.faults.clear()
        await house.sessions.record_ends()
        await house.sessions.record_ends()
    async with closed_house.open() as house:
        assert await screens(house) == []
        noted = await house.journal.audit(0, house.clock.now().wall_ms + 1)
        assert [row.note.act for row in noted] == ["ScreenPaired", "ScreenUnbound"]


async def test_screens_outlast_the_daemon(closed_house: House) -> None:
    async with closed_house.open() as house:
        browser = await paired(house)
    async with closed_house.open() as house:
        assert (await browser.get(BAY)).status == 200


async def test_a_cookie_alone_changes_nothing(house: House) -> None:
    """A change by a browser's session says that it comes from a page of ours."""
    headers = {"Cookie": await house.let_in(), "Idempotency-Key": "k"}
    before = await house.state()
    reply = await house.ask("POST", f"{BAY}/help", body={}, headers=headers)
    assert (reply.status, reply.code) == (403, "origin_missing")
    for origin in ("https://evil.example.com", "http://127.0.0.1:1", "null"):
        reply = await house.ask("POST", f"{BAY}/help", body={}, headers={**headers, "Origin": origin})
        assert (reply.status, reply.code) == (403, "origin_refused")
    assert await house.state() == before


async def test_guessing_codes_is_slow(closed_house: House) -> None:
    closed_house.limits = RateLimits(wrong_codes=Rate(0.001, 3), codes=Rate(0.001, 2))
    async with closed_house.open() as house:
        for _ in range(3):
            assert (await pair(house, "CCCCCC")).code == "unknown_code"
        assert (await pair(house, "CCCCCC")).code == "too_many_requests"
        browser = Browser(house)
        await browser.code()
        await browser.code()
        reply = await browser.post("/api/v1/screens/code")
        assert (reply.code, reply.json["retry_after_s"] > 0) == ("too_many_requests", True)


async def test_staff_sign_out(house: House) -> None:
    browser = Browser(house)
    cookie = await house.let_in(Role.STAFF, None)
    browser.cookies[COOKIE] = cookie.partition("=")[2]
    assert (await browser.get("/api/v1/session")).json["name"] == "anna"
    assert (await browser.post("/api/v1/session/end")).status == 204
    assert browser.cookies[COOKIE] == ""
    reply = await house.ask("POST", "/api/v1/session/end", token=STAFF, body={})
    assert reply.code == "no_session"
    (row,) = await house.journal.audit(0, 2**62)
    assert (row.note.who, row.note.act) == ("anna", "StaffSignedOut")
    stale = await house.ask("GET", "/api/v1/session", headers={"Cookie": cookie})
    assert stale.code == "token_missing"


async def test_a_body_that_is_too_large_is_not_read(house: House) -> None:
    before = await screens(house)
    for path, token in (("code", None), ("claim", None), ("pair", STAFF), ("unbind", STAFF)):
        raw = b'{"code": "' + b"C" * 20_000 + b'"}'
        reply = await house.ask("POST", f"/api/v1/screens/{path}", token=token, raw=raw)
        assert (reply.status, reply.code) == (413, "too_large")
    assert await screens(house) == before
