"""Who we are: no token, a given token, or a staff account whose token is renewed when it is stale."""

import asyncio

import pytest

from bayd.clients.central import (
    BearerAuth,
    Cause,
    CentralUnauthorised,
    CentralUnavailable,
    Secret,
    StaffLogin,
    VerifyAccepted,
    VerifyUnavailable,
)
from bayd.ports import HttpResponse, TransportError

from .peers import (
    PHONE,
    SECRETS,
    TOKEN,
    RecordingLog,
    ScriptedTransport,
    Sent,
    answer,
    client_of,
    done,
    secret,
)

STAFF = StaffLogin(Secret(PHONE), Secret("101010"))
NO = answer({"success": False, "message": "jwt expired"}, 401)


class Desk:
    """A server that wants a staff token: `access` is the one that counts."""

    def __init__(self) -> None:
        self.issued = 0
        self.logins = 0
        self.renewals = 0
        self.served = 0
        self.revoked: set[str] = set()
        self.login_answer: HttpResponse | TransportError | None = None
        self.refresh_works = True

    def __call__(self, sent: Sent) -> HttpResponse | TransportError:
        token = sent.headers.get("Authorization", "").removeprefix("Bearer ")
        if sent.url.endswith("/auth/login"):
            self.logins += 1
            assert sent.json == {"phoneNumber": PHONE, "pin": "101010"}
            return self.login_answer or self._issue()
        if sent.url.endswith("/auth/refresh-token"):
            self.renewals += 1
            return self._issue() if self.refresh_works and token.startswith("refresh") else NO
        if not token.startswith("access") or token in self.revoked:
            return NO
        self.served += 1
        return done({"id": 24})

    def _issue(self) -> HttpResponse:
        self.issued += 1
        self.revoked |= {f"access{number}" for number in range(self.issued)}
        tokens = {"accessToken": f"access{self.issued}", "refreshToken": f"refresh{self.issued}", "user": {}}
        return done(tokens)

    def revoke_all(self) -> None:
        self.revoked |= {f"access{number}" for number in range(self.issued + 1)}


async def test_none_and_bearer() -> None:
    plain, bearing = ScriptedTransport(done({})), ScriptedTransport(done({}))
    await client_of(plain).end_session(1)
    await client_of(bearing, auth=BearerAuth(Secret(TOKEN))).end_session(1)
    assert "Authorization" not in plain.sent[0].headers
    assert bearing.sent[0].headers["Authorization"] == f"Bearer {TOKEN}"


async def test_a_given_token_that_is_refused_is_not_asked_again() -> None:
    transport = ScriptedTransport(NO)
    with pytest.raises(CentralUnauthorised) as caught:
        await client_of(transport, auth=BearerAuth(Secret(TOKEN))).end_session(1)
    assert len(transport.sent) == 1
    assert not any(value in str(caught.value) for value in SECRETS)


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX: y", "ü"])
def test_a_token_that_would_break_the_header_is_refused_at_once(token: str) -> None:
    with pytest.raises(ValueError, match="central token") as caught:
        client_of(ScriptedTransport(NO), auth=BearerAuth(Secret(token)))
    assert not token or token not in str(caught.value)


async def test_staff_logs_in_once_and_keeps_the_token() -> None:
    desk = Desk()
    log = RecordingLog()
    client = client_of(ScriptedTransport(desk), log, auth=STAFF)
    for _ in range(3):
        await client.end_session(1)
    assert (desk.logins, desk.renewals, desk.served) == (1, 0, 3)
    assert [event for _, event, _ in log.lines] == ["central_logged_in"]
    assert not any(value in str(log.lines) for value in (*SECRETS, "101010", "access1"))


async def test_a_stale_token_is_renewed_once_and_the_request_repeated() -> None:
    desk = Desk()
    client = client_of(ScriptedTransport(desk), auth=STAFF)
    await client.end_session(1)
    desk.revoke_all()
    assert await client.verify("104", secret()) == VerifyAccepted(24)
    assert (desk.logins, desk.renewals, desk.served) == (1, 1, 2)


async def test_without_a_refresh_staff_logs_in_again() -> None:
    desk = Desk()
    client = client_of(ScriptedTransport(desk), auth=STAFF)
    await client.end_session(1)
    desk.revoke_all()
    desk.refresh_works = False
    await client.end_session(1)
    assert (desk.logins, desk.renewals, desk.served) == (2, 1, 2)


@pytest.mark.virtual_time
async def test_many_requests_share_one_renewal() -> None:
    desk = Desk()
    client = client_of(ScriptedTransport(desk, delay_s=0.1), auth=STAFF)
    await client.end_session(1)
    desk.revoke_all()
    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(client.end_session(1))
    assert (desk.logins, desk.renewals, desk.served) == (1, 1, 11)


async def test_a_token_that_is_refused_again_is_the_end() -> None:
    def script(sent: Sent) -> HttpResponse:
        return done({"accessToken": "a", "refreshToken": "b"}) if "/auth/" in sent.url else NO

    transport = ScriptedTransport(script)
    with pytest.raises(CentralUnauthorised):
        await client_of(transport, auth=STAFF).end_session(1)
    assert len(transport.sent) == 4  # login, request, renewal, request


@pytest.mark.virtual_time
async def test_a_refused_login_is_not_hammered() -> None:
    desk = Desk()
    desk.login_answer = answer({"success": False, "message": "wrong pin"}, 400)
    log = RecordingLog()
    client = client_of(ScriptedTransport(desk), log, auth=STAFF)

    async def try_for(minutes: int) -> None:
        for _ in range(minutes * 12):
            with pytest.raises(CentralUnauthorised):
                await client.end_session(1)
            await asyncio.sleep(5)

    await try_for(1)
    assert desk.logins == 1
    await try_for(60)
    assert desk.logins == 6  # after 1, 2, 4, 8, 16 minutes; the next one is 32 minutes off
    desk.login_answer = None
    await asyncio.sleep(3600)
    await client.end_session(1)
    assert desk.served == 1
    waits = [facts["next_try_in_s"] for _, event, facts in log.lines if event == "central_login_refused"]
    assert waits == [60, 120, 240, 480, 960, 1920]


@pytest.mark.parametrize(
    "reply",
    [
        TransportError("no connection", sent=False),
        TransportError("no answer", sent=True),
        answer(b"", 503),
        done({}),
    ],
)
async def test_a_request_without_a_token_was_not_sent(reply: HttpResponse | TransportError) -> None:
    desk = Desk()
    desk.login_answer = reply
    client = client_of(ScriptedTransport(desk), auth=STAFF)
    with pytest.raises(CentralUnavailable) as caught:
        await client.add_session_time(24, 5, 100)
    assert not caught.value.sent
    outcome = await client.verify("104", secret())
    assert isinstance(outcome, VerifyUnavailable)
    assert (outcome.cause, outcome.sent, outcome.seen) == (Cause.NOT_REACHED, False, False)
    desk.login_answer = None  # the desk is back: nothing holds us off
    await client.end_session(1)
    assert desk.served == 1


@pytest.mark.parametrize(
    "reply",
    [NO, answer({"success": True, "data": {}}, 403), TransportError("no connection", sent=False), done({})],
)
async def test_a_pin_that_was_turned_away_for_its_token_was_seen(
    reply: HttpResponse | TransportError,
) -> None:
    """The 401 may have been about the PIN, whatever becomes of the login after it."""
    desk = Desk()
    client = client_of(ScriptedTransport(desk), auth=STAFF)
    await client.end_session(1)
    desk.revoke_all()
    desk.refresh_works = False
    desk.login_answer = reply
    outcome = await client.verify("104", secret())
    assert isinstance(outcome, VerifyUnavailable)
    assert (outcome.sent, outcome.seen) == (False, True)
    outcome = await client.verify("104", secret())
    assert isinstance(outcome, VerifyUnavailable)
    assert (outcome.sent, outcome.seen) == (False, False), "the second had no token to go out with"


@pytest.mark.virtual_time
async def test_a_login_counts_against_the_time_of_the_request() -> None:
    client = client_of(ScriptedTransport(Desk(), delay_s=1.5), auth=STAFF)
    started = asyncio.get_running_loop().time()
    outcome = await client.verify("104", secret())
    assert asyncio.get_running_loop().time() - started == pytest.approx(2.0)
    assert isinstance(outcome, VerifyUnavailable)
    assert isinstance(await client.verify("104", secret()), VerifyAccepted)  # the login was not in vain
