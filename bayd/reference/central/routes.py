"""Every JSON call of the server, once: the HTTP side and the API description both read this table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from bayd.reference.central import answers, bays, money, requests, sessions, site, staff
from bayd.reference.central.ledger import Ledger

P = TypeVar("P")
B = TypeVar("B")

NOTHING: TypeAdapter[None] = TypeAdapter(None)


@dataclass(frozen=True, slots=True)
class Route(Generic[P, B]):
    method: str
    path: str
    summary: str
    run: Callable[[Ledger, P, B], object]
    answer: TypeAdapter[Any]
    params: TypeAdapter[P]
    body: TypeAdapter[B]
    refusals: tuple[int, ...] = ()  # beside those that the HTTP side itself gives
    extension: bool = False  # not in the documents of the server
    public: bool = False  # needs no token

    @property
    def writes(self) -> bool:
        return self.method != "GET"


def _adapter(kind: Any) -> TypeAdapter[Any]:
    return NOTHING if kind is None else TypeAdapter(kind)


def _route(
    method: str,
    path: str,
    summary: str,
    run: Callable[[Ledger, P, B], object],
    answer: Any,
    *,
    params: Any = None,
    body: Any = None,
    refusals: tuple[int, ...] = (),
    extension: bool = False,
    public: bool = False,
) -> Route[P, B]:
    return Route(
        method,
        path,
        summary,
        run,
        TypeAdapter(answer),
        _adapter(params),
        _adapter(body),
        refusals,
        extension,
        public,
    )


ROUTES: tuple[Route[Any, Any], ...] = (
    # Session component, in the order of the documents
    _route(
        "POST", "/session", "Book a session; the answer holds its PIN", sessions.book, answers.Session,
        body=requests.Booking, refusals=(404, 409, 422),
    ),
    _route(
        "POST", "/session/verify", "Start the session that the PIN belongs to", sessions.verify,
        answers.Session, body=requests.Verification, refusals=(409, 422),
    ),
    _route(
        "GET", "/session", "Sessions, page by page", sessions.list_sessions, list[answers.SessionItem],
        params=requests.Page,
    ),
    _route(
        "GET", "/session/history", "Sessions with their money, page by page", sessions.history,
        list[answers.HistoryItem], params=requests.Page,
    ),
    _route(
        "GET", "/session/{id}", "One session with everything", sessions.get_session, answers.Session,
        params=requests.SessionId, refusals=(404,),
    ),
    _route(
        "PATCH", "/session", "Choose the session's game", sessions.choose_game, answers.Session,
        body=requests.GameChoice, refusals=(404, 409),
    ),
    _route(
        "POST", "/session/addSessionTime/{id}", "Extend a session", sessions.add_time, answers.HistoryItem,
        params=requests.SessionId, body=requests.ExtraTime, refusals=(404, 409),
    ),
    _route(
        "POST", "/session/{id}/end", "Cancel a session that has not started, end one that has", sessions.end,
        answers.HistoryItem, params=requests.SessionId, refusals=(404, 409),
    ),
    # Bay component
    _route("GET", "/bay", "Bays, filtered", bays.list_bays, list[answers.Bay], params=requests.BayFilter),
    _route(
        "PATCH", "/bay", "Set a bay's status by its name", bays.set_status, answers.Bay,
        body=requests.BayStatus, refusals=(404,),
    ),
    _route(
        "GET", "/bay/screen/{screenId}", "The bay of a screen; {} when it is not bound", bays.by_screen,
        answers.Bay | answers.NoBay, params=requests.ScreenId,
    ),
    _route(
        "PATCH", "/bay/screenId", "Bind a screen to a bay", bays.bind_screen, answers.Bay,
        body=requests.ScreenBinding, refusals=(404,),
    ),
    _route(
        "POST", "/bay/sessionBayChange", "Move a session to another bay", sessions.change_bay,
        answers.Session, body=requests.BayChange, refusals=(404, 409, 422),
    ),
    _route(
        "POST", "/bay/createOrUpdate", "Lay out a floor", bays.create_or_update, list[answers.Bay],
        body=requests.FloorPlan,
    ),
    _route(
        "POST", "/bay/state", "Keep a bay controller's latest word about a bay", bays.post_state,
        answers.StateReceipt, body=requests.BayState, refusals=(404,), extension=True,
    ),
    _route(
        "GET", "/bay/state", "The latest state of every bay", bays.list_states, list[answers.BayStateAnswer],
        extension=True,
    ),
    # The rest of the range
    _route(
        "GET", "/reader/antennaPairs", "Readers with their antennas", site.antenna_pairs,
        list[answers.ReaderWithAntennas], params=requests.ReaderFilter,
    ),
    _route(
        "GET", "/ant", "Antennas with their readers", site.list_antennas, list[answers.AntennaWithReader],
        params=requests.AntennaFilter,
    ),
    _route("GET", "/pit", "Targets with their antennas", site.list_pits, list[answers.Pit]),
    _route("GET", "/game", "Games", site.list_games, list[answers.Game]),
    _route(
        "GET", "/score", "Points by game and pit antenna", site.list_scores, list[answers.Score],
        params=requests.ScoreFilter,
    ),
    _route(
        "POST", "/score", "Set points by game and pit antenna", site.set_scores, list[answers.Score],
        body=requests.Scores, refusals=(404,),
    ),
    _route(
        "GET", "/timeIntervals", "Lengths that a screen offers", site.list_intervals,
        list[answers.TimeInterval],
    ),
    _route(
        "GET", "/systemVariable", "One system variable by name, or all", site.system_variable,
        answers.SystemVariable | list[answers.SystemVariable], params=requests.VariableFilter,
        refusals=(404,),
    ),
    # Transaction component
    _route(
        "POST", "/transaction", "Add what a bay owes", money.add_due, answers.TransactionOfUser,
        body=requests.Due, refusals=(404, 409, 422),
    ),
    _route(
        "GET", "/transaction/session/{id}", "Transactions of a session", money.of_session,
        list[answers.TransactionOfUser], params=requests.SessionId, refusals=(404,),
    ),
    _route(
        "GET", "/transaction/pendingDue/bayNumber/{number}", "What a bay still owes", money.pending_due,
        list[answers.TransactionOfUser], params=requests.BayNumberPart, refusals=(404,),
    ),
    _route(
        "PATCH", "/transaction", "Pay what is due", money.pay, answers.TransactionOfUser,
        body=requests.Payment, refusals=(404, 409, 422),
    ),
    # Auth component
    _route(
        "POST", "/auth/login", "Tokens for a member of the staff", staff.log_in, answers.Tokens,
        body=requests.Login, refusals=(401,), public=True,
    ),
    _route(
        "GET", "/auth/refresh-token", "New tokens for a token", staff.refresh, answers.Tokens,
        params=requests.Presented, refusals=(401,), public=True,
    ),
)  # fmt: skip
