"""A bay as the API shows it."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Protocol

from bayd.core.dispensing import choices
from bayd.core.extensions import offers
from bayd.core.instant import Instant
from bayd.core.model import AskedExtension, Balls, Bay, DeviceFact, Game, Phase, PlaySession
from bayd.core.pins import locked_for_ms, tries_left
from bayd.core.play import guest_pause_left_ms, why_no_guest_pause
from bayd.core.rules import Rules
from bayd.core.staff import offered_games
from bayd.ports import Clock
from bayd.runtime.range import Range
from bayd.web.documents import (
    AskedView,
    BallsView,
    BayDevices,
    BayDocument,
    CallView,
    DeviceView,
    DueView,
    ExtensionView,
    GameView,
    GuestPauseView,
    KeptView,
    LowLatencyView,
    ModeView,
    MovingView,
    OfferView,
    PadView,
    PlayerView,
    SessionView,
    UnknownView,
    WaitingView,
    WarningView,
)

# What the clock alone changes: no reason to send a document again to somebody who has it.
MOVING: Any = {
    "session": {"remaining_s", "ends_at"},
    "pin": {"locked_for_s"},
    "waiting": {"since"},
    "help_for_s": True,
    "extension": {"asked": {"waits_s"}},
}
_STEP_MS = 10_000  # … unless the wall clock was set, and the end is shown at another time of day


class Player(Protocol):
    """One of those who share a session."""

    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str | None: ...


class BayViews:
    """The bays as they are now, with what others know: `qod_state`, `queue_place`, `players`, `games`."""

    def __init__(
        self,
        bays: Range,
        clock: Clock,
        *,
        qod_state: Callable[[str], str],
        queue_place: Callable[[str], int],
        players: Callable[[str], Sequence[Player]] = lambda _session: (),
        games: Callable[[], Sequence[Game]] = lambda: (),
    ) -> None:
        self._bays = bays
        self._clock = clock
        self._qod_state = qod_state
        self._queue_place = queue_place
        self._players = players
        self._games = games

    def show(self, bay: Bay, *, names: bool, bookings: bool = False) -> BayDocument:
        """`names` False: without anything that tells who plays. `bookings`: also who comes next."""
        now = self._clock.now()
        return bay_view(
            bay,
            now if bay.left is None else replace(now, boot_ms=bay.left.boot_ms),  # no time passes there
            self._bays.rules(bay.number),
            self._qod_state(bay.number),
            retired=bay.number in self._bays.retired,
            names=names,
            bookings=bookings,
            queue_place=self._queue_place(bay.number),
            players=() if bay.session is None else self._players(bay.session.session_id),
            games=self._games(),
        )

    def now(self) -> str:
        return rfc3339(self._clock.now().wall_ms)

    def told_by_no_event(self, bay: Bay) -> tuple[object, ...]:
        """What else a bay's document says; cheap enough to be compared often."""
        session = bay.session
        return (
            self._bays.rules(bay.number),
            self._qod_state(bay.number),
            0 if bay.payout is None else self._queue_place(bay.number),
            () if session is None else tuple(self._players(session.session_id)),
            self._games(),
        )

    def moving(self, bay: Bay) -> MovingView:
        """As in `show`."""
        now = self._clock.now()
        session = bay.session
        asked = None if session is None else session.extension_asked
        return MovingView(
            remaining_s=None if session is None else session.remaining_ms(now.boot_ms) / 1000,
            locked_for_s=_locked_for_s(bay, now),
            help_for_s=_help_for_s(bay, now),
            waits_s=None if asked is None else _waits_s(asked, now),
        )

    def still_life(self, bay: Bay, document: BayDocument) -> str:
        """The document without what only moves with the clock."""
        now = self._clock.now()
        ends_wall_ms = 0 if bay.session is None else now.wall_ms + bay.session.remaining_ms(now.boot_ms)
        return f"{document.model_dump_json(exclude=MOVING)} {round(ends_wall_ms / _STEP_MS)}"


def bay_view(
    bay: Bay,
    now: Instant,
    rules: Rules,
    qod_state: str,
    *,
    retired: bool = False,
    names: bool,
    bookings: bool = False,
    queue_place: int = 0,
    players: Sequence[Player] = (),
    games: Sequence[Game] = (),
) -> BayDocument:
    """`names` False: without anything that tells who plays; `bookings`: also who comes next.
    `queue_place`: payouts before this bay's. `games`: all that the central server lists.
    """
    session = bay.session
    asked = None if session is None else session.extension_asked
    shown_next = bay.bookings[0] if bookings and bay.bookings else None
    return BayDocument(
        number=bay.number,
        retired=retired,
        phase=bay.phase,
        session=None if session is None else _session(bay, session, now, rules, players, names=names),
        closed=bay.closed,
        mode=_mode(bay, names=names),
        kept=_kept(bay, names=names),
        waiting=_waiting(bay, now),
        moved_to=None if bay.moved is None or session is not None else bay.moved.to,
        booked=len(bay.bookings),
        next_session_id=bay.bookings[0].session_id if bay.bookings else None,
        games=[_game(game) for game in offered_games(bay, rules, games)],
        next_game=None if not bay.bookings or bay.bookings[0].game is None else bay.bookings[0].game.id,
        next_minutes=None if shown_next is None else shown_next.minutes,
        next_player=None if shown_next is None else shown_next.player,
        walk_ins=rules.walk_ins,
        balls=_balls(bay, rules, queue_place),
        pin=PadView(tries_left=tries_left(bay, rules), locked_for_s=_locked_for_s(bay, now)),
        devices=BayDevices(
            reader=_device(bay, "reader", there=rules.reader),
            dispenser=_device(bay, "dispenser", there=rules.dispenser is not None),
            screen=_device(bay, "screen"),
        ),
        qod=LowLatencyView(state=qod_state),
        help_called=bay.help_since_ms is not None,
        help_for_s=_help_for_s(bay, now),
        extension_asked=None if asked is None else asked.minutes,
        extension=_extension(bay, rules, now, names=names),
        dues=[
            DueView(
                due_id=due.due_id,
                session_id=due.session_id,
                minutes=due.minutes,
                amount=due.amount,
                since=rfc3339(due.wall_ms),
            )
            for due in bay.dues
        ],
        warnings=flags_of(bay) if retired else warnings_of(bay),
        version=bay.version,
    )


def calls_of(bay: Bay, now: Instant) -> list[CallView]:
    """Who waits for staff there."""
    found = []
    if (since_s := _help_for_s(bay, now)) is not None:
        found.append(CallView(bay=bay.number, kind="help", minutes=None, amount=None, since_s=since_s))
    asked = None if bay.session is None else bay.session.extension_asked
    if asked is not None:
        found.append(
            CallView(
                bay=bay.number,
                kind="time",
                minutes=asked.minutes,
                amount=asked.amount,
                since_s=_waits_s(asked, now),
            )
        )
    return found


def warnings_of(bay: Bay) -> list[WarningView]:
    """What staff should look at."""
    warnings = [
        _warning(f"{name}_{fact.state.value}", fact.since_wall_ms, fact.reason)
        for name, fact in sorted(bay.devices.items())
        if fact.state in ("lost", "fault")
    ]
    warnings += flags_of(bay)
    warnings += _forgotten(bay)
    last = bay.last
    if last is not None and last.reconciled is not None and last.reconciled.beyond:
        missing = last.reconciled.missing or 0
        what = (
            f"{missing} balls fewer were read than"
            if missing > 0
            else f"{-missing} balls more were read than"
        )
        granted = f" {last.reconciled.granted} were given back." if last.reconciled.granted else ""
        text = f"In session {last.session_id} {what} came out of the machine.{granted}"
        warnings.append(_warning("balls_variance", last.reconciled.wall_ms, text))
    return warnings


def flags_of(bay: Bay) -> list[WarningView]:
    """What stands until staff have settled it, whatever becomes of the bay."""
    flags = [_warning(c.code, c.wall_ms, c.text, c.name) for c in bay.conflicts]
    for flag in bay.unsettled:
        text = f"{flag.balls} balls may or may not have been paid out ({flag.text}): settle them."
        flags.append(
            _warning("balls_unknown", flag.wall_ms, text, facts={"balls": flag.balls, "reason": flag.text})
        )
    return flags


def _forgotten(bay: Bay) -> list[WarningView]:
    waiting, session = bay.waiting, bay.session
    if waiting is not None and waiting.overran_wall_ms is not None:
        if not waiting.session_id:
            text = "The bay is on hold for long: release it, if it need not be."
            return [_warning("held_long", waiting.overran_wall_ms, text)]
        text = f"Nobody has come for session {waiting.session_id} for long."
        return [_warning("no_show", waiting.overran_wall_ms, text, facts={"session": waiting.session_id})]
    if session is not None and session.overran_wall_ms is not None:
        text = "The session is paused for long: resume it, or end it."
        return [_warning("paused_long", session.overran_wall_ms, text)]
    return []


def entity_tag(still: str) -> str:
    """A weak ETag's value: the same for documents that mean the same."""
    return hashlib.blake2b(still.encode(), digest_size=12).hexdigest()


def rfc3339(wall_ms: int) -> str:
    return (
        datetime.fromtimestamp(wall_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def _locked_for_s(bay: Bay, now: Instant) -> int:
    return -(-locked_for_ms(bay, now) // 1000)


def _help_for_s(bay: Bay, now: Instant) -> float | None:
    return None if bay.help_since_ms is None else max(0, now.boot_ms - bay.help_since_ms) / 1000


def _waits_s(asked: AskedExtension, now: Instant) -> float:
    waits_ms = now.wall_ms - asked.wall_ms if asked.since_ms is None else now.boot_ms - asked.since_ms
    return max(0, waits_ms) / 1000


def _kept(bay: Bay, *, names: bool) -> KeptView | None:
    if bay.phase not in (Phase.HELD, Phase.OUT_OF_SERVICE):
        return None
    since_ms = bay.kept_wall_ms
    return KeptView(
        reason=bay.kept_reason if names else None, since=None if since_ms is None else rfc3339(since_ms)
    )


def _waiting(bay: Bay, now: Instant) -> WaitingView | None:
    waiting = bay.waiting
    if waiting is None or bay.phase is not Phase.BOOKED or bay.bookings[0].session_id != waiting.session_id:
        return None
    return WaitingView(
        session_id=waiting.session_id, since=rfc3339(now.wall_ms - max(0, now.boot_ms - waiting.since_ms))
    )


def _mode(bay: Bay, *, names: bool) -> ModeView:
    staff, until_ms = bay.mode_set, bay.scheduled.until_wall_ms
    return ModeView(
        name=bay.mode,
        until=None if staff is not None or until_ms is None else rfc3339(until_ms),
        by_staff=staff is not None,
        today=staff is not None and staff.today,
        reason=staff.reason if staff is not None and names else None,
    )


def _session(
    bay: Bay, session: PlaySession, now: Instant, rules: Rules, players: Sequence[Player], *, names: bool
) -> SessionView:
    remaining_ms = session.remaining_ms(now.boot_ms)
    game = session.game
    return SessionView(
        id=session.session_id,
        ends_at=rfc3339(now.wall_ms + remaining_ms),
        remaining_s=remaining_ms / 1000,
        duration_s=session.granted_ms / 1000,
        minutes=session.minutes,
        paused=session.paused_at_ms is not None,
        guest_pause=GuestPauseView(
            may_pause=session.paused_at_ms is None and why_no_guest_pause(bay, session, rules) is None,
            may_resume=session.pause_ends_at_ms is not None,
            minutes=guest_pause_left_ms(session, rules) // rules.minute_ms if rules.guest_pauses else 0,
        ),
        game=None if game is None else _game(game),
        player_id=session.player_id,
        player=session.player if names else None,
        players=[PlayerView(id=one.id, name=one.name if names else None) for one in players],
    )


def _extension(bay: Bay, rules: Rules, now: Instant, *, names: bool) -> ExtensionView:
    session = bay.session
    asked = None if session is None else session.extension_asked
    return ExtensionView(
        offers=[
            OfferView(minutes=offer.minutes, amount=offer.amount, at_once=offer.at_once)
            for offer in offers(bay, rules)
        ],
        asked=None
        if asked is None
        else AskedView(
            request_id=asked.op_id,
            minutes=asked.minutes,
            amount=asked.amount,
            since=rfc3339(asked.wall_ms),
            waits_s=_waits_s(asked, now),
        ),
        declined=session.extension_declined or None if session is not None and names else None,
        owed_at_server=bay.owed_at_server,
    )


def _balls(bay: Bay, rules: Rules, queue_place: int) -> BallsView:
    session = bay.session
    balls = session.balls if session is not None else bay.last.balls if bay.last is not None else Balls()
    return BallsView(
        machine=rules.dispenser is not None,
        limit=None if session is None or session.game is None else session.game.balls_limit or None,
        commanded=balls.commanded,
        counted=balls.counted,
        read=balls.read,
        free_read=bay.free_read,
        variance=balls.counted + balls.surplus - balls.read,
        left=None if session is None else session.balls_left,
        balance=balls.balance,
        unknown=balls.unknown,
        paying=0 if bay.payout is None else bay.payout.left,
        surplus=balls.surplus,
        granted=balls.granted,
        shots=balls.shots,
        points=balls.points,
        queue_place=None if bay.payout is None else queue_place,
        choices=list(choices(bay, rules)),
        step=rules.dispenser_step,
        level=bay.ball_level.level,
        unsettled=[
            UnknownView(
                payout_id=flag.payout_id,
                session_id=flag.session_id,
                balls=flag.balls,
                since=rfc3339(flag.wall_ms),
                text=flag.text,
            )
            for flag in bay.unsettled
        ],
    )


def _warning(
    code: str,
    wall_ms: int,
    text: str,
    conflict: str | None = None,
    facts: Mapping[str, str | int] = MappingProxyType({}),
) -> WarningView:
    return WarningView(code=code, since=rfc3339(wall_ms), text=text, facts=dict(facts), conflict=conflict)


def _game(game: Game) -> GameView:
    return GameView(id=game.id, name=game.name, balls_limit=game.balls_limit)


def _device(bay: Bay, name: str, *, there: bool = True) -> DeviceView:
    if not there:
        return DeviceView(state="none", reason="")
    fact = bay.devices.get(name) or DeviceFact()
    return DeviceView(state=fact.state, reason=fact.reason)
