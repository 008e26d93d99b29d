"""`/api/v1/bays/…`: one bay, and the calls that change it.

Every call carries an `Idempotency-Key`. Its answer is committed together with the events, so that the same
key gives the same answer, also after a crash. Refusals are kept like answers: the key names the press.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web
from pydantic import BaseModel, ValidationError

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.decision import Decision
from bayd.core.inputs import Role
from bayd.core.model import Bay, Game
from bayd.journal import Answer, AnswerExistsError, Journal, NotWrittenError
from bayd.ports import Clock, Randomness
from bayd.runtime.bay import AnswerMaker, BayBusyError, Outcome, OutcomeUnknownError
from bayd.runtime.range import Range
from bayd.web.access import Access
from bayd.web.acts import ACTS, Act, GameBody, PinBody
from bayd.web.problems import Problem, ProblemError, problem_of, response_of
from bayd.web.views import bay_view

KEY_HEADER = "Idempotency-Key"
_KEY_MAX_CHARS = 200
_EVERYBODY = frozenset({Role.SCREEN, Role.STAFF, Role.TECHNICIAN})
_PLAYERS = frozenset({Role.SCREEN, Role.STAFF})

EnterPin = Callable[[str, str, str | None, AnswerMaker, AnswerMaker], Awaitable[Outcome]]
FindGame = Callable[[int], Awaitable[Game | None]]
QodState = Callable[[str], str]

UNKNOWN_OUTCOME = Problem(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "outcome_unknown",
    "Unknown whether this was recorded; it will not be acted on. Do not repeat it.",
)
NOT_RECORDED = Problem(
    HTTPStatus.SERVICE_UNAVAILABLE, "not_recorded", "The disk refused it. Nothing has changed."
)
BUSY = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "busy", "Too many requests wait at this bay.", retry_after_s=1)


class BayApi:
    """The handlers of one bay's calls."""

    def __init__(
        self,
        bays: Range,
        journal: Journal[e.Event],
        access: Access,
        *,
        enter_pin: EnterPin,
        find_game: FindGame,
        qod_state: QodState,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._bays = bays
        self._journal = journal
        self._access = access
        self._enter_pin = enter_pin
        self._find_game = find_game
        self._qod_state = qod_state
        self._clock = clock
        self._randomness = randomness
        self._running: dict[str, asyncio.Future[web.Response]] = {}

    def routes(self) -> list[web.RouteDef]:
        base = "/api/v1/bays/{bay}"
        routes = [
            web.get(base, self.show),
            web.post(f"{base}/pin", self.pin),
            web.post(f"{base}/game", self.game),
        ]
        return routes + [web.post(f"{base}/{name}", self._handler(act)) for name, act in ACTS.items()]

    async def show(self, request: web.Request) -> web.Response:
        number = self._number(request)
        self._access.require(request, _EVERYBODY, number)
        bay = self._bays.get(number)
        etag = f'"{bay.version}"'
        view = self._view(bay)
        response = web.json_response(view, headers={"Cache-Control": "no-cache"})
        response.headers["ETag"] = etag
        return response

    async def pin(self, request: web.Request) -> web.Response:
        number = self._number(request)
        self._access.require(request, _PLAYERS, number)
        # A PIN of six digits could be guessed from a digest of the body: the path alone is the fingerprint.
        fingerprint = _fingerprint(request, b"")

        async def act(key: str, body: PinBody) -> Outcome:
            return await self._enter_pin(
                number,
                body.pin,
                key,
                self.answer_maker(key, fingerprint, refusals_only=True),
                self.answer_maker(key, fingerprint),
            )

        return await self._once(request, PinBody, fingerprint, act)

    async def game(self, request: web.Request) -> web.Response:
        number = self._number(request)
        actor = self._access.require(request, _PLAYERS, number).actor
        fingerprint = _fingerprint(request, await request.read())

        async def act(key: str, body: GameBody) -> Outcome:
            game = await self._find_game(body.game_id)
            if game is None:
                text = "This game is not known here."
                raise ProblemError(
                    Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "unknown_game", text, field="game_id")
                )
            maker = self.answer_maker(key, fingerprint)
            return await self._bays.submit(number, i.SelectGame(game, actor), maker)

        return await self._once(request, GameBody, fingerprint, act)

    def _handler(self, act: Act) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            number = self._number(request)
            actor = self._access.require(request, act.roles, number).actor
            fingerprint = _fingerprint(request, await request.read())

            async def submit(key: str, body: BaseModel) -> Outcome:
                made = act.make(body, actor, self._randomness.new_id())
                return await self._bays.submit(number, made, self.answer_maker(key, fingerprint))

            return await self._once(request, act.body, fingerprint, submit)

        return handle

    def answer_maker(self, key: str, fingerprint: str, *, refusals_only: bool = False) -> AnswerMaker:
        """What the request with this key is answered, made from the decision and kept with it."""

        def make(bay: Bay, decision: Decision) -> Answer | None:
            problem = _problem(bay, decision, self._bays)
            if problem is not None:
                return Answer(key, fingerprint, int(problem.status), problem.body())
            if refusals_only:
                return None
            return Answer(key, fingerprint, int(HTTPStatus.OK), json.dumps(self._view(bay)))

        return make

    def recovered_answer(self, number: str, key: str | None) -> AnswerMaker | None:
        """The answer of a PIN request that a crash interrupted, under the key it came with."""
        if key is None:
            return None
        return self.answer_maker(key, _digest("POST", f"/api/v1/bays/{number}/pin", b""))

    async def _once(
        self,
        request: web.Request,
        body_type: type,
        fingerprint: str,
        act: Callable[..., Awaitable[Outcome]],
    ) -> web.Response:
        """Carry a keyed request out once, however often and however close together it comes."""
        key = request.headers.get(KEY_HEADER, "")
        if not 1 <= len(key) <= _KEY_MAX_CHARS:
            text = f"Every change needs an {KEY_HEADER} header of up to {_KEY_MAX_CHARS} characters."
            raise ProblemError(Problem(HTTPStatus.BAD_REQUEST, "idempotency_key_missing", text, KEY_HEADER))
        body = await _parse(request, body_type)
        while key in self._running:
            await asyncio.wait({self._running[key]})
        done: asyncio.Future[web.Response] = asyncio.get_running_loop().create_future()
        self._running[key] = done
        try:
            kept = await self._journal.find_answer(key)
            if kept is not None:
                return _replayed(kept, fingerprint)
            return await self._carry_out(key, fingerprint, body, act)
        finally:
            del self._running[key]
            done.cancel()

    async def _carry_out(
        self, key: str, fingerprint: str, body: object, act: Callable[..., Awaitable[Outcome]]
    ) -> web.Response:
        try:
            outcome = await act(key, body)
        except BayBusyError:
            raise ProblemError(BUSY) from None
        except OutcomeUnknownError:
            raise ProblemError(UNKNOWN_OUTCOME) from None
        except AnswerExistsError:
            kept = await self._journal.find_answer(key)
            assert kept is not None
            return _replayed(kept, fingerprint)
        except NotWrittenError:
            raise ProblemError(NOT_RECORDED) from None
        assert outcome.answer is not None
        return response_of(outcome.answer.status, outcome.answer.body)

    def _view(self, bay: Bay) -> dict[str, object]:
        rules = self._bays.rules(bay.number)
        return bay_view(bay, self._clock.now(), rules, self._qod_state(bay.number), names=True)

    def _number(self, request: web.Request) -> str:
        number = request.match_info["bay"]
        if number not in self._bays.bays:
            raise ProblemError(Problem(HTTPStatus.NOT_FOUND, "unknown_bay", "There is no such bay here."))
        return number


def _problem(bay: Bay, decision: Decision, bays: Range) -> Problem | None:
    if decision.refusal is not None:
        return problem_of(decision.refusal)
    tries_left = max(0, bays.rules(bay.number).pin_tries - bay.pad.failures)
    for event in decision.events:
        if isinstance(event, e.PinRefused):
            return Problem(
                HTTPStatus.UNAUTHORIZED, "wrong_pin", "This PIN opens no session here.", "pin", tries_left
            )
        if isinstance(event, e.PinCheckFailed):
            return Problem(
                HTTPStatus.SERVICE_UNAVAILABLE, "pin_unavailable", "The PIN cannot be checked now."
            )
    return None


async def _parse(request: web.Request, body_type: type) -> BaseModel:
    try:
        raw = await request.read()
        # An empty body is an empty object: `help` and its like need none.
        parsed = json.loads(raw or b"{}")
    except ValueError:
        raise ProblemError(Problem(HTTPStatus.BAD_REQUEST, "not_json", "The body is not JSON.")) from None
    try:
        assert issubclass(body_type, BaseModel)
        return body_type.model_validate(parsed)
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        raise ProblemError(Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", first["msg"], field)) from None


def _replayed(kept: Answer, fingerprint: str) -> web.Response:
    if kept.fingerprint != fingerprint:
        text = "This Idempotency-Key was used for another request."
        raise ProblemError(
            Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency_key_reused", text, KEY_HEADER)
        )
    response = response_of(kept.status, kept.body)
    response.headers["Idempotent-Replayed"] = "true"
    return response


def _fingerprint(request: web.Request, body: bytes) -> str:
    return _digest(request.method, request.path, body)


def _digest(method: str, path: str, body: bytes) -> str:
    return hashlib.sha256(b"\0".join((method.encode(), path.encode(), body))).hexdigest()
