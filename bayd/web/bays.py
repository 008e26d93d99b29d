"""`/api/v1/bays/…`: one bay, and the calls that change it, each carried out once per `Idempotency-Key`."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from aiohttp import web
from pydantic import BaseModel

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.decision import Decision
from bayd.core.inputs import Role
from bayd.core.model import Bay, Game
from bayd.core.pins import OWN_PIN, locked_for_ms, tries_left
from bayd.journal import Answer, Journal
from bayd.ports import Clock, Randomness
from bayd.runtime.bay import AnswerMaker, Outcome
from bayd.runtime.range import Range
from bayd.web.access import Caller
from bayd.web.acts import ACTS, Act, DeliveryBody, GameBody, PinBody
from bayd.web.bodies import BODY_WITHIN_S, read_body
from bayd.web.documents import BayDocument
from bayd.web.idempotency import (
    KEY_HEADER,
    KEY_PATTERN,
    REPLAYED_HEADER,
    KeyedRequests,
    fingerprint_of,
    key_of,
)
from bayd.web.limits import Buckets, RateLimits
from bayd.web.outbox import ListItems, check_item
from bayd.web.problems import Problem, ProblemError, problem_of
from bayd.web.routes import Answer as Described
from bayd.web.routes import Handle, Parameter, Route
from bayd.web.tags import IF_NONE_MATCH, NOT_MODIFIED, TAG_HEADERS, tagged
from bayd.web.views import BayViews

_EVERYBODY = frozenset({Role.SCREEN, Role.STAFF, Role.TECHNICIAN})
_PLAYERS = frozenset({Role.SCREEN, Role.STAFF})
_BASE = "/api/v1/bays/{bay}"

EnterPin = Callable[[str, str, str | None, AnswerMaker, AnswerMaker], Awaitable[Outcome]]
FindGame = Callable[[int], Awaitable[Game | None]]

_KEY = Parameter(
    KEY_HEADER,
    "header",
    "Names this press: the same key gives the same answer, and nothing is done twice. Kept for 24 h.",
    KEY_PATTERN,
    required=True,
)
_BAY_ANSWER = {
    HTTPStatus.OK: Described(
        "The bay afterwards", BayDocument, headers={REPLAYED_HEADER: "`true`: this key was answered before."}
    )
}
_UNKNOWN_BAY = "There is no such bay"
_REFUSALS = {
    HTTPStatus.BAD_REQUEST: "No usable key, or not JSON",
    HTTPStatus.NOT_FOUND: _UNKNOWN_BAY,
    HTTPStatus.REQUEST_TIMEOUT: "The body did not come in time",
    HTTPStatus.CONFLICT: "Not possible in the bay's present state: `code` says why",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is not plain JSON",
    HTTPStatus.UNPROCESSABLE_ENTITY: "`field` is wrong, or the key was used for another request",
    HTTPStatus.SERVICE_UNAVAILABLE: "`busy` and `not_recorded`: nothing has changed; `outcome_unknown`: look",
}
_PIN_REFUSALS = {
    HTTPStatus.UNAUTHORIZED: "`wrong_pin` or `wrong_bay`, with `tries_left`; or no valid token",
    HTTPStatus.LOCKED: "Too many wrong PINs; see `retry_after_s`",
    HTTPStatus.SERVICE_UNAVAILABLE: "`pin_unavailable`: nobody can check it now, call staff; with "
    "`tries_left` if it counts as a try. `busy` and `not_recorded`: nothing has changed; "
    "`outcome_unknown`: look",
}
_DELIVERY_REFUSALS = {HTTPStatus.NOT_FOUND: "There is no such bay, or no such item in its outbox"}


class BayApi:
    """The handlers of one bay's calls."""

    def __init__(
        self,
        bays: Range,
        journal: Journal[e.Event],
        *,
        enter_pin: EnterPin,
        find_game: FindGame,
        list_outbox: ListItems,
        views: BayViews,
        clock: Clock,
        randomness: Randomness,
        patience_s: float = 5.0,
        body_within_s: float = BODY_WITHIN_S,
        limits: RateLimits | None = None,
    ) -> None:
        self._bays = bays
        self._enter_pin = enter_pin
        self._find_game = find_game
        self._list_outbox = list_outbox
        self._views = views
        self._clock = clock
        self._randomness = randomness
        self._body_within_s = body_within_s
        self._keyed = KeyedRequests(journal, patience_s)
        self._pins = Buckets((limits or RateLimits()).pins, clock)

    def routes(self) -> list[Route]:
        show = Route(
            "GET",
            _BASE,
            self.show,
            "One bay",
            {
                HTTPStatus.OK: Described("The bay", BayDocument, headers=TAG_HEADERS),
                HTTPStatus.NOT_MODIFIED: NOT_MODIFIED,
            },
            roles=_EVERYBODY,
            refusals={HTTPStatus.NOT_FOUND: _UNKNOWN_BAY},
            parameters=(IF_NONE_MATCH,),
            tag="bays",
        )
        return [
            show,
            _change("pin", "Enter a PIN", self.pin, PinBody, _PLAYERS, _PIN_REFUSALS),
            _change("game", "Choose the game", self.game, GameBody, _PLAYERS),
            *(
                _change(
                    name,
                    act.summary,
                    self._handler(name, act),
                    act.body,
                    act.roles,
                    _DELIVERY_REFUSALS if act.body is DeliveryBody else None,
                )
                for name, act in ACTS.items()
            ),
        ]

    async def show(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        number = self._number(request, caller, retired=caller.bay is None)
        bay = self._bays.get(number)
        document = self._views.show(bay, names=caller.sees_names, bookings=caller.sees_bookings)
        return tagged(request, document.model_dump_json(), self._views.still_life(bay, document))

    async def pin(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        number = self._number(request, caller)
        self._pins.take(f"{caller.name} {number}")
        key = key_of(request, caller)
        body = await read_body(request, PinBody, within_s=self._body_within_s)
        # A PIN of six digits could be guessed from a digest of the body: the path alone is the fingerprint.
        fingerprint = fingerprint_of(number, "pin", "")

        async def act() -> Outcome:
            return await self._enter_pin(
                number,
                body.pin,
                key,
                self._answer_maker(key, fingerprint, refusals_only=True),
                self._answer_maker(key, fingerprint),
            )

        return await self._keyed.carry_out(key, fingerprint, act)

    async def game(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        number = self._number(request, caller)
        key = key_of(request, caller)
        body = await read_body(request, GameBody, within_s=self._body_within_s)
        fingerprint = fingerprint_of(number, "game", body.model_dump_json())
        session = self._bays.get(number).session
        # The catalogue may be far away: whoever plays when it answers need not be who pressed.
        meant = body.session_id or (None if session is None else session.session_id)

        async def act() -> Outcome:
            game = await self._find_game(body.game_id)
            if game is None:
                text = "This game is not known here."
                raise ProblemError(
                    Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "unknown_game", text, field="game_id")
                )
            maker = self._answer_maker(key, fingerprint)
            return await self._bays.submit(number, i.SelectGame(game, caller.known, meant), maker)

        return await self._keyed.carry_out(key, fingerprint, act)

    def _handler(self, name: str, act: Act) -> Handle:
        async def handle(request: web.Request, caller: Caller) -> web.StreamResponse:
            number = self._number(request, caller, retired=act.settles)
            key = key_of(request, caller)
            body = await read_body(request, act.body, within_s=self._body_within_s)
            fingerprint = fingerprint_of(number, name, body.model_dump_json())
            made = act.make(body, caller.known, self._randomness.new_id())
            maker = self._answer_maker(key, fingerprint, names=caller.sees_names)

            async def carry_out() -> Outcome:
                if isinstance(body, DeliveryBody):
                    to_retry = isinstance(made, i.RetryDelivery)
                    await check_item(self._list_outbox, number, body.seq, to_retry=to_retry)
                return await self._bays.submit(number, made, maker)

            return await self._keyed.carry_out(key, fingerprint, carry_out)

        return handle

    def recovered_answer(self, number: str, key: str | None) -> AnswerMaker | None:
        """The answer of a PIN request that a crash interrupted, under the key it came with."""
        if key is None:
            return None
        return self._answer_maker(key, fingerprint_of(number, "pin", ""))

    def _answer_maker(
        self, key: str, fingerprint: str, *, names: bool = True, refusals_only: bool = False
    ) -> AnswerMaker:
        """What the request with this key is answered, made from the decision and kept with it."""

        def make(bay: Bay, decision: Decision) -> Answer | None:
            problem = self._problem(bay, decision)
            if problem is not None:
                return Answer(key, fingerprint, int(problem.status), problem.body())
            if refusals_only:
                return None
            document = self._views.show(bay, names=names)
            return Answer(key, fingerprint, int(HTTPStatus.OK), document.model_dump_json())

        return make

    def _problem(self, bay: Bay, decision: Decision) -> Problem | None:
        if decision.refusal is not None:
            return problem_of(decision.refusal)
        for event in decision.events:
            if isinstance(event, e.PinRefused):
                return self._wrong_pin(bay, event)
            if isinstance(event, e.PinCheckFailed) and event.reason == OWN_PIN:
                return Problem(HTTPStatus.CONFLICT, OWN_PIN, "This PIN's session is running already.", "pin")
            if isinstance(event, e.PinCheckFailed):
                unavailable = HTTPStatus.SERVICE_UNAVAILABLE
                if event.counted:
                    text = "The PIN cannot be checked now; a try was counted."
                    return self._counted(bay, unavailable, "pin_unavailable", text)
                text = "The PIN cannot be checked now; no try was counted."
                return Problem(unavailable, "pin_unavailable", text)
        return None

    def _wrong_pin(self, bay: Bay, refused: e.PinRefused) -> Problem:
        code, text = ("wrong_pin", "This PIN opens no session here.")
        if refused.wrong_bay:
            code, text = ("wrong_bay", "This PIN opens another bay.")
        return self._counted(bay, HTTPStatus.UNAUTHORIZED, code, text)

    def _counted(self, bay: Bay, status: HTTPStatus, code: str, text: str) -> Problem:
        locked_ms = locked_for_ms(bay, self._clock.now())
        left = tries_left(bay, self._bays.rules(bay.number))
        return Problem(status, code, text, "pin", left, -(-locked_ms // 1000) or None)

    def _number(self, request: web.Request, caller: Caller, *, retired: bool = False) -> str:
        """`retired`: also of a bay that is configured no more."""
        number = request.match_info["bay"]
        if number not in self._bays.bays and not (retired and number in self._bays.retired):
            raise ProblemError(
                Problem(HTTPStatus.NOT_FOUND, "unknown_bay", "There is no such bay here.", "bay")
            )
        caller.must_see(number)
        return number


def _change(
    name: str,
    summary: str,
    handle: Handle,
    body: type[BaseModel],
    roles: frozenset[Role],
    refusals: Mapping[HTTPStatus, str] | None = None,
) -> Route:
    return Route(
        "POST",
        f"{_BASE}/{name}",
        handle,
        summary,
        _BAY_ANSWER,
        roles=roles,
        body=body,
        refusals={**_REFUSALS, **(refusals or {})},
        parameters=(_KEY,),
        tag="bays",
    )
