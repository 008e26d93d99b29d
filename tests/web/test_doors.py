"""Who gets in, and what is not even looked at: tokens, hosts, origins, bodies, paths, methods, floods."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from bayd.core import events as e
from bayd.web.bodies import BODY_LIMIT_BYTES
from bayd.web.limits import Rate, RateLimits, client_address
from tests.web.house import PIN, SCREEN, STAFF, TECHNICIAN, TOKENS, House

BAY = "/api/v1/bays/109"
PRESS = (f"Authorization: Bearer {SCREEN}", "Idempotency-Key: raw", "Content-Type: application/json")


@pytest_asyncio.fixture
async def unchanged(house: House) -> AsyncIterator[House]:
    """A house in play, in which nothing may have changed at the end of the test."""
    await house.play()
    before = await house.state()
    yield house
    assert await house.state() == before


async def raw(house: House, data: bytes, *, to_end: bool = False) -> str:
    """What comes back for these bytes: a head, or all until the other side hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    try:
        writer.write(data)
        answer = b""
        async with asyncio.timeout(20):
            while to_end or b"\r\n\r\n" not in answer:
                more = await reader.read(65536)
                if not more:
                    break
                answer += more
        return answer.decode()
    finally:
        writer.transport.abort()


def head(method: str = "GET", target: str = "/status", *lines: str, host: str | None = "127.0.0.1") -> bytes:
    first = [f"{method} {target} HTTP/1.1"] + ([] if host is None else [f"Host: {host}"])
    return "\r\n".join([*first, *lines, "", ""]).encode("latin-1")


def status_of(answer: str) -> int:
    return int(answer.split(" ", 2)[1])


WRONG_TOKENS = [
    "Bearer wrong",
    "Bearer",
    "Bearer ",
    f"Basic {STAFF}",
    STAFF,
    f"Bearer {STAFF} {STAFF}",
    f"Bearer {STAFF[:-1]}",
    f"Bearer {STAFF}x",
    "Bearer caf\u00e9-caf\u00e9-caf\u00e9-caf\u00e9",
    f"Bearer {STAFF}, Bearer {SCREEN}",
]


async def test_a_token_that_is_not_known_opens_nothing(closed_house: House) -> None:
    closed_house.limits = RateLimits(unknown_tokens=Rate(1, 1000))
    async with closed_house.open() as house:
        await house.play()
        before = await house.state()
        for header in WRONG_TOKENS:
            for path in (BAY, "/status"):  # what anybody may see is no excuse for a wrong token
                reply = await house.ask("GET", path, headers={"Authorization": header})
                assert (reply.status, reply.code) == (401, "token_unknown"), header
            reply = await house.press("end", token=None, headers={"Authorization": header})
            assert (reply.status, reply.code) == (401, "token_unknown"), header
        assert STAFF not in str(house.log.lines)
        assert await house.state() == before


async def test_two_tokens_or_bytes_that_are_no_text_are_no_token(unchanged: House) -> None:
    twice = [f"Authorization: Bearer {STAFF}", f"Authorization: Bearer {SCREEN}"]
    assert status_of(await raw(unchanged, head("GET", BAY, *twice))) in (400, 401)
    assert status_of(await raw(unchanged, head("GET", BAY, "Authorization: Bearer \xff\xfe\xfd"))) == 401
    assert not [line for line in unchanged.log.lines if line[0] == "error"]


async def test_names_are_for_those_who_may_see_them(house: House) -> None:
    await house.play()
    seen = {}
    for token in TOKENS:
        if token.bay == "110":
            continue
        reply = await house.ask("GET", BAY, token=token.token)
        seen[token.actor.role.value] = reply.json["session"]["player"]
    assert seen == {"screen": "Test Person", "staff": "Test Person", "technician": None}
    assert "Test Person" not in (await house.ask("GET", "/status", token=STAFF)).text
    stopped = await house.press("service/stop", {"reason": "motor"}, token=TECHNICIAN)
    assert stopped.status == 200
    assert "Test Person" not in stopped.text


HOSTS: list[tuple[str | None, int]] = [
    ("127.0.0.1", 200),
    ("127.0.0.1:9999", 200),
    ("LOCALHOST", 200),
    ("evil.example.com", 421),
    ("127.0.0.1.evil.example.com", 421),
    ("evil.example.com:8470", 421),
    ("127.0.0.1@evil.example.com", 421),
    ("evil.example.com@127.0.0.1", 421),
    ("127.0.0.1, evil.example.com", 421),
    ("127.0.0.1/../evil", 421),
    ("[::1]", 421),  # not among the names that were configured
    ("", 421),
    (None, 421),
]


async def test_only_our_own_names_are_answered_to(unchanged: House) -> None:
    for host, status in HOSTS:
        for target in ("/status", "/healthz", "/nowhere"):
            answer = await raw(unchanged, head(target=target, host=host))
            expected = 404 if (status, target) == (200, "/nowhere") else status
            # A head without a host, or with an impossible one, may be refused before it reaches us.
            assert status_of(answer) in (expected, 400 if expected == 421 else expected), (host, answer)


async def test_two_hosts_are_none(unchanged: House) -> None:
    answer = await raw(unchanged, head("GET", "/status", "Host: evil.example.com"))
    assert status_of(answer) in (400, 421)
    answer = await raw(unchanged, head("GET", "http://evil.example.com/status"))
    assert "evil" not in answer


@pytest.mark.parametrize(
    ("origin", "is_ours"),
    [
        ("http://127.0.0.1:{port}", True),
        ("https://localhost", True),  # a TLS proxy in front that keeps to its own port
        ("http://127.0.0.1:1", False),  # another program on this machine
        ("http://localhost", False),
        ("https://localhost:{port}", False),
        ("https://evil.example.com", False),
        ("http://127.0.0.1.evil.example.com:{port}", False),
        ("http://127.0.0.1:{port}/path", False),
        ("http://user@127.0.0.1:{port}", False),
        ("null", False),
        ("file://", False),
        ("http://[", False),
        ("", False),
    ],
)
async def test_pages_of_other_sites_are_refused(house: House, origin: str, is_ours: bool) -> None:
    await house.play()
    before = await house.state()
    headers = {"Origin": origin.format(port=house.port)}
    read = await house.ask("GET", BAY, token=SCREEN, headers=headers)
    pressed = await house.press("help", token=SCREEN, headers=headers)
    if is_ours:
        assert (read.status, pressed.status) == (200, 200)
        assert await house.state() != before
    else:
        assert [(r.status, r.code) for r in (read, pressed)] == [(403, "origin_refused")] * 2
        assert await house.state() == before
    preflight = await house.ask(
        "OPTIONS", f"{BAY}/help", headers={**headers, "Access-Control-Request-Method": "POST"}
    )
    assert preflight.status == (204 if is_ours else 403)
    for reply in (read, pressed, preflight):
        assert not [name for name in reply.headers if name.lower().startswith("access-control")]


async def test_every_answer_is_for_our_own_pages_and_says_little_of_us(unchanged: House) -> None:
    for path, token in (
        ("/status", None),
        (BAY, SCREEN),
        (BAY, None),
        ("/nowhere", None),
        ("/metrics", None),
    ):
        reply = await unchanged.ask("GET", path, token=token)
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert reply.headers["Server"] == "bayd"
        assert "frame-ancestors 'none'" in reply.headers["Content-Security-Policy"]
        assert reply.headers["Cache-Control"] in ("no-cache", "no-store")


BODIES: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 422, "balls"),
    "not JSON": (b"{balls: 5}", 400, "-"),
    "cut": (b'{"balls": 5', 400, "-"),
    "two": (b'{"balls": 5}{"balls": 6}', 400, "-"),
    "a list": (b'[{"balls": 5}]', 422, "body"),
    "null": (b"null", 422, "body"),
    "a number": (b"5", 422, "body"),
    "deep": (b"[" * 8000, 400, "-"),
    "deep and closed": (b'{"balls":' * 500 + b"1" + b"}" * 500, 400, "-"),
    "not a number": (b'{"balls": NaN}', 422, "balls"),
    "infinite": (b'{"balls": 1e999}', 422, "balls"),
    "a long number": (b'{"balls": ' + b"9" * 5000 + b"}", 400, "-"),
    "text": (b'{"balls": "5"}', 422, "balls"),
    "a fraction": (b'{"balls": 5.5}', 422, "balls"),
    "true": (b'{"balls": true}', 422, "balls"),
    "null balls": (b'{"balls": null}', 422, "balls"),
    "nothing": (b'{"balls": 0}', 422, "balls"),
    "too many": (b'{"balls": 10001}', 422, "balls"),
    "an unknown field": (b'{"balls": 5, "color": "red"}', 422, "color"),
    "a long unknown field": (b'{"balls": 5, "' + b"c" * 5000 + b'": 1}', 422, "c" * 100),
    "UTF-16": ('{"balls": 5}'.encode("utf-16"), 400, "-"),
    "half a character": (b'{"balls": 5, "x": "\\ud83d"}', 400, "-"),
    "bytes that are no text": (b'{"balls": 5, "\xff": 1}', 400, "-"),
    "over the bay's own limit": (b'{"balls": 201}', 422, "balls"),
}


async def test_a_malformed_body_names_its_fault_and_changes_nothing(unchanged: House) -> None:
    for name, (data, status, field) in BODIES.items():
        reply = await unchanged.press("dispense", raw=data)
        assert reply.status == status, (name, reply.text)
        assert reply.code in ("not_json", "invalid", "balls_invalid"), name
        assert reply.json.get("field", "-") == field, name


async def test_a_reason_is_one_line_of_text(unchanged: House) -> None:
    no_reasons = ["", "   ", "x" * 201, "two\nlines", "a\x00b", "\x1b[31mred", "a\u2028b", 5, None, ["x"]]
    for reason in no_reasons:
        reply = await unchanged.press("hold", {"reason": reason}, token=STAFF)
        assert (reply.status, reply.code, reply.json["field"]) == (422, "invalid", "reason"), reason


async def test_a_reason_may_be_any_line_of_text(house: House) -> None:
    await house.play()
    reasons = ["Ω naïve 🏌 \u202e", "x" * 200, "'; DROP TABLE events; --", "<b>"]
    for reason in reasons:
        assert (await house.press("pause", {"reason": reason}, token=STAFF)).status == 200
        assert (await house.press("resume", token=STAFF)).status == 200
    paused = [r.event for r in await house.journal.read(0) if isinstance(r.event, e.SessionPaused)]
    assert [event.reason for event in paused] == reasons


@pytest.mark.parametrize(
    ("act", "body", "field"),
    [("extend", {"minutes": 15, "amount": 5}, "amount"), ("extend", {"minutes": 15, "amount": 0}, "amount")],
)
async def test_what_is_for_staff_alone_is_refused_by_name(
    unchanged: House, act: str, body: object, field: str
) -> None:
    reply = await unchanged.press(act, body)
    assert (reply.status, reply.code, reply.json["field"]) == (403, "staff_only", field)


async def test_a_technician_forces_nobody_out(unchanged: House) -> None:
    body = {"reason": "motor", "force": True}
    reply = await unchanged.press("service/stop", body, token=TECHNICIAN)
    assert (reply.status, reply.code, reply.json["field"]) == (403, "staff_only", "force")


@pytest.mark.parametrize(
    ("act", "body"), [("end", {}), ("end", {"reason": " "}), ("extend", {"minutes": 15})]
)
async def test_staff_give_a_reason_for_what_they_do_to_a_session(
    unchanged: House, act: str, body: object
) -> None:
    reply = await unchanged.press(act, body, token=STAFF)
    assert (reply.status, reply.code, reply.json["field"]) == (422, "reason_missing", "reason")


CONTENT_TYPES = [
    ("application/json; charset=utf-8", 200),
    ("APPLICATION/JSON", 200),
    ("text/plain", 415),
    ("application/x-www-form-urlencoded", 415),
    ("multipart/form-data; boundary=x", 415),
    ("", 415),
    ("application/jsonp", 415),
]


async def test_a_form_of_another_site_is_no_json(house: House) -> None:
    await house.play()
    for content_type, status in CONTENT_TYPES:
        before = await house.state()
        reply = await house.press("player", {"session_user_id": 5}, headers={"Content-Type": content_type})
        assert reply.status == status, content_type
        assert (await house.state() != before) == (status == 200), content_type


async def test_an_oversized_body_is_refused_before_it_is_read(unchanged: House) -> None:
    announced = head("POST", f"{BAY}/help", *PRESS, "Content-Length: 1000000000")
    answer = await raw(unchanged, announced, to_end=True)
    assert status_of(answer) == 413
    assert "Connection: close" in answer
    reply = await unchanged.press("help", raw=b" " * (BODY_LIMIT_BYTES + 1))
    assert (reply.status, reply.code) == (413, "too_large")


async def test_a_body_without_an_announced_length_is_bounded_too(unchanged: House) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b" " * 1024

    async with unchanged.http.post(
        unchanged.url(f"{BAY}/help"),
        data=endless(),
        headers={
            "Authorization": f"Bearer {SCREEN}",
            "Idempotency-Key": "k",
            "Content-Type": "application/json",
        },
    ) as answer:
        assert answer.status == 413


@pytest.mark.parametrize("encoding", ["gzip", "identity", "nonsense"])
async def test_a_body_is_sent_as_it_is(unchanged: House, encoding: str) -> None:
    bomb = gzip.compress(b'{"reason": "' + b"x" * 5_000_000 + b'"}')
    data = bomb if encoding == "gzip" else b'{"balls": 5}'
    reply = await unchanged.press("dispense", raw=data, headers={"Content-Encoding": encoding})
    assert (reply.status, reply.code, reply.json["field"]) == (415, "unsupported_body", "Content-Encoding")


@pytest.mark.parametrize("chunks", [b"zz\r\n{}\r\n0\r\n\r\n", b"2\r\n{}{}\r\n0\r\n\r\n"])
async def test_a_body_that_is_not_as_announced_is_malformed(unchanged: House, chunks: bytes) -> None:
    begun = head("POST", f"{BAY}/help", *PRESS, "Transfer-Encoding: chunked")
    answer = await raw(unchanged, begun + chunks, to_end=True)
    assert status_of(answer) == 400


async def test_a_body_that_does_not_come_holds_nobody(closed_house: House) -> None:
    closed_house.body_within_s = 0.2
    async with closed_house.open() as house:
        answer = await raw(
            house, head("POST", f"{BAY}/help", *PRESS, "Content-Length: 10") + b"{", to_end=True
        )
        assert status_of(answer) == 408
        assert "Connection: close" in answer
        assert await house.kinds() == []


CROOKED = [
    "//status",
    "/status/",
    "/status/.",
    "/./status",
    "/status%00",
    "/status;x=1",
    "/STATUS",
    "/api/v1/bays/109/",
    "/api/v1/bays/109/../110",
    "/api/v1/bays/109/%2e%2e/110",
    "/api/v1/bays/109%2f..%2f110",
    "/api/v1/bays/109%00",
    "/api/v1/bays/%31%30%39%20",
    "/api/v1/bays/..",
    "/api/v1/bays/%ff",
    "/api/v1/bays/109\xff",
    "/api/v1/bays/" + "9" * 7000,
    "/api/v1/bays/{bay}",
    "/api/v1/bays/*",
    "/../../../etc/passwd",
    "*",
]


async def test_crooked_paths_lead_nowhere(unchanged: House) -> None:
    for target in CROOKED:
        answer = await raw(unchanged, head("GET", target, f"Authorization: Bearer {SCREEN}"))
        assert status_of(answer) in (400, 403, 404), (target, answer)
    assert not [line for line in unchanged.log.lines if line[0] == "error"]


async def test_an_encoded_digit_is_the_same_digit(unchanged: House) -> None:
    answer = await raw(unchanged, head("GET", "/api/v1/bays/%31%30%39", f"Authorization: Bearer {SCREEN}"))
    assert status_of(answer) == 200


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/status", {"GET", "HEAD", "OPTIONS"}),
        (BAY, {"GET", "HEAD", "OPTIONS"}),
        (f"{BAY}/end", {"POST", "OPTIONS"}),
        ("/api/v1/events", {"GET", "OPTIONS"}),
    ],
)
async def test_methods(unchanged: House, path: str, allow: set[str]) -> None:
    options = await unchanged.ask("OPTIONS", path)
    assert (options.status, set(options.headers["Allow"].split(", "))) == (204, allow)
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"} - allow:
        reply = await unchanged.ask(method, path, token=STAFF)
        assert (reply.status, reply.code) == (405, "method_not_allowed")
        assert set(reply.headers["Allow"].split(", ")) == allow
    assert (await unchanged.ask("OPTIONS", "/nowhere")).code == "not_found"


async def test_head_is_get_without_its_body(unchanged: House) -> None:
    for path in ("/status", BAY, "/healthz", "/metrics", "/openapi.json", "/version"):
        get = await unchanged.ask("GET", path, token=SCREEN)
        asked = await unchanged.ask("HEAD", path, token=SCREEN)
        assert (asked.status, asked.text) == (200, ""), path
        assert asked.headers["Content-Type"] == get.headers["Content-Type"], path
    refused = await unchanged.ask("HEAD", BAY)
    assert (refused.status, refused.text) == (401, "")


async def test_bytes_that_are_no_http_are_refused_and_never_logged(unchanged: House) -> None:
    for data in (
        b"\x16\x03\x01\x02\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x00" * 100 + b"\r\n\r\n",
    ):
        answer = await raw(unchanged, data + b"\r\n\r\n")
        assert answer == "" or status_of(answer) == 400
    secret = head("GET", BAY, f"Authorization: Bearer {STAFF}\x01")
    assert status_of(await raw(unchanged, secret)) == 400
    long = head("GET", BAY, f"Authorization: Bearer {STAFF}", "X: " + "y" * 100_000)
    assert status_of(await raw(unchanged, long)) == 400
    assert STAFF not in repr(unchanged.log.lines)
    assert "request_malformed" in unchanged.log.events()
    assert "request_failed" not in unchanged.log.events()


async def test_a_request_that_fails_here_fails_alone_and_tells_nothing(house: House) -> None:
    house.central["outbox"] = "a defect"
    reply = await house.ask("GET", "/status", described=False)
    assert (reply.status, reply.code) == (500, "internal")
    assert "defect" not in reply.text
    assert "request_failed" in house.log.events()
    assert (await house.ask("GET", "/healthz")).status == 200


async def test_a_client_that_asks_too_often_is_told_when_to_come_again(closed_house: House) -> None:
    closed_house.limits = replace(RateLimits(), requests=Rate(0.5, 5))
    async with closed_house.open() as house:
        replies = [await house.ask("GET", BAY, token=SCREEN) for _ in range(7)]
        assert [r.status for r in replies] == [200] * 5 + [429] * 2
        assert replies[-1].code == "too_many_requests"
        assert 1 <= int(replies[-1].headers["Retry-After"]) <= 2
        assert replies[-1].json["retry_after_s"] == int(replies[-1].headers["Retry-After"])
        before = await house.state()
        assert (await house.press("help")).status == 429
        assert await house.state() == before
        # Another client is not concerned, and a watchdog never is.
        assert (await house.ask("GET", BAY, token=STAFF)).status == 200
        assert [(await house.ask("GET", "/healthz")).status for _ in range(10)] == [200] * 10
        house.clock._offset_ms += 2_000
        assert (await house.ask("GET", BAY, token=SCREEN)).status == 200


async def test_guessing_tokens_is_slow_and_locks_nobody_else_out(closed_house: House) -> None:
    closed_house.limits = replace(RateLimits(), unknown_tokens=Rate(1, 3))
    async with closed_house.open() as house:
        replies = [await house.ask("GET", BAY, token=f"guess-{n:020}") for n in range(6)]
        assert [r.status for r in replies] == [401] * 3 + [429] * 3
        assert (await house.ask("GET", BAY, token=SCREEN)).status == 200
        assert (await house.ask("GET", "/status")).status == 200


async def test_pins_are_entered_slowly(closed_house: House) -> None:
    closed_house.limits = replace(RateLimits(), pins=Rate(1 / 6, 2))
    async with closed_house.open() as house:
        await house.book()
        statuses = [(await house.press("pin", {"pin": "111111"})).status for _ in range(4)]
        assert statuses == [401, 401, 429, 429]
        assert house.bays.get("109").pad.failures == 2
        # Staff at the same bay have their own count, and so has the next bay.
        assert (await house.press("pin", {"pin": PIN}, token=STAFF)).status == 200
        await house.book("110", "8")
        assert (
            await house.press("pin", {"pin": "1"}, bay="110", token="screen-110-0123456789")
        ).status == 422


@pytest.mark.parametrize(
    ("remote", "client"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        (None, "unknown"),
        ("", "unknown"),
        ("/run/bayd.sock", "unknown"),
    ],
)
def test_a_client_without_a_token_is_its_address(remote: str | None, client: str) -> None:
    assert client_address(remote) == client


def test_the_bodies_above_are_what_they_say() -> None:
    assert len(BODIES["deep"][0]) < BODY_LIMIT_BYTES
    assert json.loads(BODIES["an unknown field"][0]) == {"balls": 5, "color": "red"}
