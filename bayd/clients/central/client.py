"""The typed client of the central server: one method per call, nothing is repeated on its own.

Results are the values of `model`. Errors are the subclasses of `CentralError`, by what to do next;
`verify` alone never raises, as each of its outcomes is a path of the daemon. Whoever calls decides on a
repeat: after `CentralUnavailable(sent=True)` a call that is not idempotent may have been carried out.

For a call that changes something the 2xx is the news: its answer is not documented, so a body that does
not show a session makes the result None and no error.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar, assert_never

from bayd.ports import HttpTransport, Log

from . import decoding, requests
from .answers import Done, NoAnswer, NoRoute, Refusal, Unauthorised, Verdict
from .auth import CentralAuth, NoAuth
from .connection import CentralConnection
from .errors import (
    CapabilityMissing,
    CentralMalformed,
    CentralRefused,
    CentralUnauthorised,
    CentralUnavailable,
)
from .model import (
    AntennaPair,
    Cause,
    Discount,
    Listing,
    NewSession,
    ServerAntenna,
    ServerBay,
    ServerGame,
    ServerScore,
    ServerSession,
    ServerTransaction,
    SessionPage,
    SystemVariable,
    TimeInterval,
    VerifyAccepted,
    VerifyAnswer,
    VerifyRefused,
    VerifyUnavailable,
)
from .reading import FieldFault, ObjectReader
from .secret import Secret

T = TypeVar("T")

_INDEX = re.compile(r"\[[0-9]+\]")
_NOTES_LIMIT = 1000  # paths that were logged; a server that invents new ones for ever is cut off


class OnDone(Protocol):
    def __call__(self, operation: str, *, changes: bool) -> None: ...


def _nobody_listens(operation: str, *, changes: bool) -> None:
    pass


@dataclass(frozen=True, slots=True)
class CentralTimeouts:
    verify_s: float = 2.0  # a person waits
    read_s: float = 10.0
    write_s: float = 10.0  # settle_s of the outbox must be longer


class CentralClient:
    """`idempotency_keys`: the server is known to honour `Idempotency-Key`. A setting, never probed:
    a server that ignores the header answers just the same. `on_done` hears of each call that the server
    carried out: its name, and whether it changes something."""

    def __init__(
        self,
        transport: HttpTransport,
        base_url: str,
        *,
        log: Log,
        auth: CentralAuth | None = None,
        timeouts: CentralTimeouts | None = None,
        idempotency_keys: bool = False,
        on_done: OnDone = _nobody_listens,
    ) -> None:
        self._connection = CentralConnection(transport, base_url, auth or NoAuth(), log)
        self._timeouts = timeouts or CentralTimeouts()
        self._log = log
        self._noted: set[str] = set()
        self._on_done = on_done
        self.idempotency_keys = idempotency_keys

    # Session component, 1 to 8

    @property
    def server_wall_ms(self) -> int | None:
        """What time it was at the server when it last said so."""
        return self._connection.server_wall_ms

    async def create_session(
        self, new: NewSession, *, idempotency_key: str | None = None
    ) -> ServerSession | None:
        """Book. The session with its PIN, if the answer shows it."""
        return await self._change(requests.create_session(new, idempotency_key=idempotency_key))

    async def verify(self, bay_number: str, pin: Secret, *, within_s: float | None = None) -> VerifyAnswer:
        """Is this the PIN of the bay's session? Answers within that time, else `timeouts.verify_s`. Raises
        nothing but ValueError, for a PIN that is not six digits.

        A yes starts the session at the server. Yes: 2xx in the envelope. No: `success` false with 2xx or
        4xx. All else is unavailable: 401, 403, 408, 429, a missing route, 5xx, a time-out, anything that
        is not the envelope. A 2xx that is not the envelope is no yes either: a portal would open the bay.
        """
        timeout_s = self._timeouts.verify_s if within_s is None else within_s
        verdict = await self._call(requests.verify(bay_number, pin), timeout_s)
        match verdict:
            case Done(data=data):
                return VerifyAccepted(decoding.find_verified_session_id(data, bay_number))
            case Refusal(status=status, message=message):
                return VerifyRefused(message, status)
            case Unauthorised(status=status, reason=reason, left=left):
                return VerifyUnavailable(reason, Cause.UNAUTHORISED, sent=False, seen=left, status=status)
            case NoRoute(status=status, reason=reason):
                return VerifyUnavailable(reason, Cause.NO_ROUTE, sent=False, seen=True, status=status)
            case NoAnswer(cause=cause, reason=reason, sent=sent, status=status, turned_away=turned_away):
                return VerifyUnavailable(reason, cause, sent, seen=sent or turned_away, status=status)
            case _:
                assert_never(verdict)

    async def list_sessions(self, page: int, per_page: int) -> SessionPage:
        """One page; `bayd.clients.central.sweep` knows which ones to read."""
        return await self._page(requests.list_sessions(page, per_page), page, per_page)

    async def get_session(self, session_id: int) -> ServerSession:
        request = requests.get_session(session_id)
        session = await self._read(request, decoding.decode_session)
        if session.id != session_id:
            raise CentralMalformed(request.operation, "data.id")
        return session

    async def set_game(
        self, session_id: int, game_id: int, *, idempotency_key: str | None = None
    ) -> ServerSession | None:
        return await self._change(requests.set_game(session_id, game_id, idempotency_key=idempotency_key))

    async def add_session_time(
        self, session_id: int, duration_min: int, amount: int, *, idempotency_key: str | None = None
    ) -> ServerSession | None:
        """Not idempotent: a repeat adds twice, unless the server honours the key."""
        request = requests.add_session_time(session_id, duration_min, amount, idempotency_key=idempotency_key)
        return await self._change(request)

    async def end_session(
        self, session_id: int, *, idempotency_key: str | None = None
    ) -> ServerSession | None:
        """End a session that plays, cancel one that waits: one call at the server."""
        return await self._change(requests.end_session(session_id, idempotency_key=idempotency_key))

    async def history(self, page: int, per_page: int) -> SessionPage:
        """As `list_sessions`, with `releaseTime`, extensions and money."""
        return await self._page(requests.history(page, per_page), page, per_page)

    # Bays and screens

    async def bays(
        self,
        *,
        floor: str | None = None,
        status: str | None = None,
        fill_balls: bool | None = None,
        bay_number: str | None = None,
        bill_generate: bool | None = None,
    ) -> Listing[ServerBay]:
        """`fill_balls` True: the bays to refill."""
        request = requests.bays(
            floor=floor,
            status=status,
            fill_balls=fill_balls,
            bay_number=bay_number,
            bill_generate=bill_generate,
        )
        return await self._list(request, decoding.decode_bay)

    async def set_bay_status(self, bay_number: str, status: str) -> None:
        """By name, see `BayStatus`."""
        await self._ask(requests.set_bay_status(bay_number, status), self._timeouts.write_s)

    async def bay_of_screen(self, screen_id: str) -> ServerBay | None:
        """None: no bay has this screen (the server answers an empty object)."""
        request = requests.bay_of_screen(screen_id)
        data = await self._ask(request, self._timeouts.read_s)
        return None if data in ({}, None) else self._decode(request, data, decoding.decode_bay)

    async def bind_screen(self, screen_id: str, bay_number: str) -> None:
        await self._ask(requests.bind_screen(screen_id, bay_number), self._timeouts.write_s)

    async def session_bay_change(
        self,
        current_bay: str,
        new_bay: str,
        admin_password: Secret,
        new_duration_min: int,
        *,
        idempotency_key: str | None = None,
    ) -> None:
        """Move the session of a bay to another."""
        request = requests.session_bay_change(
            current_bay, new_bay, admin_password, new_duration_min, idempotency_key=idempotency_key
        )
        await self._ask(request, self._timeouts.write_s)

    async def post_bay_state(self, bay_number: str, state: Mapping[str, object], seq: int) -> None:
        """Extension of the reference server; elsewhere CapabilityMissing."""
        await self._ask(requests.post_bay_state(bay_number, state, seq), self._timeouts.write_s)

    # What a bay needs to know

    async def games(self) -> Listing[ServerGame]:
        return await self._list(requests.games(), decoding.decode_game)

    async def time_intervals(self) -> Listing[TimeInterval]:
        return await self._list(requests.time_intervals(), decoding.decode_time_interval)

    async def antenna_pairs(self, reader_id: str | None = None) -> Listing[AntennaPair]:
        return await self._list(requests.antenna_pairs(reader_id), decoding.decode_antenna_pair)

    async def system_variable(self, name: str) -> SystemVariable:
        return await self._read(requests.system_variable(name), decoding.decode_system_variable)

    async def scores(self, game_id: int | None = None) -> Listing[ServerScore]:
        return await self._list(requests.scores(game_id), decoding.decode_score)

    async def post_score(self, game: ServerGame, antenna: ServerAntenna, score: int) -> None:
        """Set what a ball at this pit antenna is worth in this game."""
        await self._ask(requests.post_score(game, antenna, score), self._timeouts.write_s)

    # Money

    async def transactions(self, session_id: int) -> Listing[ServerTransaction]:
        return await self._list(requests.transactions(session_id), decoding.decode_transaction)

    async def pending_dues(self, bay_number: str) -> Listing[ServerTransaction]:
        """A bay with any is in arrears."""
        return await self._list(requests.pending_dues(bay_number), decoding.decode_transaction)

    async def post_due(
        self,
        bay_number: str,
        amount: int,
        discount: Discount | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> None:
        """Not idempotent, see `add_session_time`."""
        request = requests.post_due(bay_number, amount, discount, idempotency_key=idempotency_key)
        await self._ask(request, self._timeouts.write_s)

    async def mark_paid(
        self, transaction_id: int, admin_password: Secret, reason: str, payment_type: str = "CASH"
    ) -> None:
        request = requests.mark_paid(transaction_id, admin_password, reason, payment_type)
        await self._ask(request, self._timeouts.write_s)

    # How a verdict becomes a result or an error

    async def _call(self, request: requests.Request, timeout_s: float) -> Verdict:
        verdict = await self._connection.call(request, timeout_s)
        if isinstance(verdict, Done):
            self._on_done(request.operation, changes=request.changes)
        return verdict

    async def _ask(self, request: requests.Request, timeout_s: float) -> object:
        if not self.idempotency_keys and request.idempotency_key is not None:
            request = replace(request, idempotency_key=None)
        verdict = await self._call(request, timeout_s)
        match verdict:
            case Done(data=data):
                return data
            case Refusal(status=status, message=message):
                raise CentralRefused(request.operation, status=status, message=message)
            case Unauthorised(status=status, message=str(message)) if request.signed:
                # Our own credentials were good for the other calls: it is the password in this one.
                raise CentralRefused(request.operation, status=status, message=message)
            case Unauthorised(status=status, reason=reason):
                raise CentralUnauthorised(request.operation, reason, status=status)
            case NoRoute(status=status, reason=reason):
                raise CapabilityMissing(request.operation, reason, status=status)
            case NoAnswer(cause=cause, reason=reason, sent=sent, status=status, retry_after_s=retry_after_s):
                raise CentralUnavailable(
                    request.operation,
                    reason,
                    cause=cause,
                    sent=sent,
                    status=status,
                    retry_after_s=retry_after_s,
                )
            case _:
                assert_never(verdict)

    async def _read(self, request: requests.Request, decode: Callable[[ObjectReader], T]) -> T:
        return self._decode(request, await self._ask(request, self._timeouts.read_s), decode)

    async def _change(self, request: requests.Request) -> ServerSession | None:
        data = await self._ask(request, self._timeouts.write_s)
        try:
            return decoding.decode_session(ObjectReader(data, "data", []))
        except FieldFault:
            return None

    async def _list(self, request: requests.Request, decode: Callable[[ObjectReader], T]) -> Listing[T]:
        data = await self._ask(request, self._timeouts.read_s)
        notes: list[str] = []
        try:
            listing = decoding.decode_list(data, decode, notes)
        except FieldFault as fault:
            raise CentralMalformed(request.operation, fault.path) from fault
        for skipped in listing.skipped:
            self._report("central_item_skipped", request, skipped.field)
        self._report_notes(request, notes)
        return listing

    async def _page(self, request: requests.Request, page: int, per_page: int) -> SessionPage:
        listing = await self._list(request, decoding.decode_session)
        return SessionPage(page, per_page, listing.items, listing.skipped)

    def _decode(self, request: requests.Request, data: object, decode: Callable[[ObjectReader], T]) -> T:
        notes: list[str] = []
        try:
            decoded = decode(ObjectReader(data, "data", notes))
        except FieldFault as fault:
            raise CentralMalformed(request.operation, fault.path) from fault
        self._report_notes(request, notes)
        return decoded

    def _report_notes(self, request: requests.Request, notes: list[str]) -> None:
        for path in notes:
            self._report("central_field_ignored", request, path)

    def _report(self, event: str, request: requests.Request, path: str) -> None:
        """Once per field, whatever its place in a list: a poll every few seconds would repeat it."""
        kind = f"{event} {request.operation} {_INDEX.sub('[]', path)}"
        if kind not in self._noted and len(self._noted) < _NOTES_LIMIT:
            self._noted.add(kind)
            self._log.warning(event, operation=request.operation, field=path)
