"""The journal's books beside the server's, when a season is over: what differs, and what the daemon flagged.

Extensions of a session that are equal in minutes and amount cannot be told apart and are counted. A season's
own and its desk's have amounts that follow from their minutes, so a flag, which names minutes, names these.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from bayd.core import events as e
from bayd.core.conflicts import OF_MOVES
from bayd.core.model import Payment
from bayd.journal import Recorded
from tests.reconcile.central_world import WALK_IN, CentralWorld
from tests.simulation.central_season import Season

Json = dict[str, Any]
_NAMED = re.compile(r"Extensions of (\d+) minutes: (\d+) given here, (\d+) shown there\.")
_TAKEN_HERE = (Payment.CASH, Payment.CARD)


@dataclass(frozen=True)
class Equals:
    """Extensions of one session that are equal."""

    session: str
    minutes: int
    given: int  # here
    desk: int
    shown: int
    parked: int
    doubted: int  # their answers got lost, and ones like them were taken for them
    named: tuple[tuple[int, int], ...]  # given and shown, as a flag says

    @property
    def differ(self) -> bool:
        return self.shown != self.given + self.desk

    @property
    def flagged(self) -> bool:
        return bool(self.parked or self.named)


@dataclass(frozen=True)
class Money:
    received: int
    pending: int


@dataclass
class _Played:
    """One session, as the journal has it."""

    session_id: str
    at: str  # the bay where it plays, or played last
    moved: int = 0
    extended: list[e.SessionExtended] = field(default_factory=list)
    settled: list[e.DueSettled] = field(default_factory=list)
    game_id: int | None = None  # chosen here
    ended: e.SessionEnded | None = None


async def audit_of(season: Season) -> "Audit":
    """Of a season whose world is up. It ends with this."""
    await season.close()
    world = season.world
    records: list[Recorded[e.Event]] = []
    while batch := await world.journal.read(records[-1].seq if records else 0, limit=1000):
        records += batch
    parked = {one.seq: one.reason for one in await world.journal.parked("central")}
    games = {str(row["id"]): row["game"] for row in await _sessions(world)}
    rows = {str(row["id"]): row for row in await world.history()}
    return Audit(season, records, parked, rows, games)


async def _sessions(world: CentralWorld) -> list[Json]:
    rows: list[Json] = []
    while page := await world.call("GET", f"/session?page={len(rows) // 500 + 1}&per_page=500"):
        rows += page
        if len(page) < 500:
            break
    return rows


class Audit:
    """`rows`, `games`: what the server shows, by its numbers."""

    def __init__(
        self,
        season: Season,
        records: list[Recorded[e.Event]],
        parked: dict[int, str],
        rows: dict[str, Json],
        games: dict[str, Json | None],
    ) -> None:
        self._season = season
        self.rows = rows
        self._games = games
        self._parked = [record for record in records if record.seq in parked]
        self._reasons = parked
        self._numbers: dict[str, str] = {}
        self._sold: dict[str, e.WalkInSold] = {}
        self._played: dict[str, _Played] = {}
        self._conflicts: list[e.ConflictSeen] = []
        for record in records:
            self._enter(record.bay, record.event)

    def _enter(self, number: str, event: e.Event) -> None:
        match event:
            case e.SessionNumbered(ours, server_id):
                assert self._numbers.setdefault(ours, server_id) == server_id  # again where it moved to
            case e.WalkInSold() as sold:
                self._sold[sold.session_id] = sold
            case e.SessionStarted(session_id):
                assert session_id not in self._played
                self._played[session_id] = _Played(session_id, number)
            case e.SessionMovedIn(session, come_from):
                played = self._played[session.session_id]
                assert played.at == come_from
                played.at = number
                played.moved += 1
            case e.SessionExtended() as extended if extended.own:
                self._played[extended.session_id].extended.append(extended)
            case e.DueSettled() as settled:
                self._played[settled.session_id].settled.append(settled)
            case e.GameSelected(session_id, game):
                self._played[session_id].game_id = game.id
            case e.SessionEnded() as ended:
                played = self._played[ended.session_id]
                assert played.ended is None
                assert played.at == number, "it ends where it was moved to"
                played.ended = ended
            case e.ConflictSeen() as conflict:
                self._conflicts.append(conflict)
            case _:
                pass

    # Judgements

    def assert_no_difference(self) -> None:
        assert self._reasons == {}
        assert [one for one in self.extensions() if one.differ or one.flagged] == []
        self.assert_nothing_else_differs()
        assert self.unclaimed_walk_ins() == set()
        assert self.bays_that_differ() == set()
        assert self.games_that_differ() == set()
        assert self.flagged("ended_elsewhere", "game_differs", "walk_in_unclaimed", *OF_MOVES) == set()

    def assert_flagged_is_what_differs(self) -> None:
        for one in self.extensions():
            if one.desk:
                # An equal one of the desk's cannot be told from ours. Where it was taken for ours, at least
                # staff know that the answer to ours had got lost.
                assert one.flagged or one.doubted or not one.differ, one
            elif one.parked and one.given > 1:
                # Of equal ones, one that was doubled and one that was set aside make the right number.
                assert one.flagged, one
            else:
                assert one.flagged == one.differ, one
        assert self.bays_that_differ() == self.flagged("ended_elsewhere")
        assert self.games_that_differ() == self.flagged("game_differs")
        assert self.unclaimed_walk_ins() == self.flagged("walk_in_unclaimed")
        self.assert_nothing_else_differs()

    def assert_nothing_else_differs(self) -> None:
        for one in self.extensions():
            told = one.given - one.parked
            assert one.named == (((told, one.shown),) if 0 < told != one.shown else ()), one
        assert self.strange_extensions() == []
        assert self.money_that_differs() == []
        assert self.not_ended() == self.parked(e.WalkInSold, e.SessionStarted)
        assert self.walk_ins_that_differ() == []
        assert set(self.rows) == set(self._numbers.values()) | set(self._season.booked) | (
            self.unclaimed_walk_ins()
        ), "sessions that nobody made"

    # What both have

    def server_id(self, session_id: str) -> str:
        return self._numbers.get(session_id, session_id)

    def sessions(self) -> list[str]:
        return list(self._played)

    def move_count(self) -> int:
        return sum(one.moved for one in self._played.values())

    def walk_ins(self) -> list[str]:
        return list(self._sold)

    def flagged(self, *codes: str) -> set[str]:
        """Sessions of which the daemon said so."""
        return {one.session_id for one in self._conflicts if one.code in codes}

    def flagged_in_play(self) -> set[str]:
        """Those that played where the server did not show them, for a while at least."""
        return self.flagged(*OF_MOVES)

    def parked(self, *kinds: type[e.Event]) -> set[str]:
        """Sessions of which such an item is set aside."""
        return {getattr(one.event, "session_id", "") for one in self._parked if isinstance(one.event, kinds)}

    def _row(self, session_id: str) -> Json | None:
        return self.rows.get(self.server_id(session_id))

    # What differs

    def extensions(self) -> list[Equals]:
        """Those that were given here."""
        named: dict[tuple[str, int], tuple[tuple[int, int], ...]] = {}
        for one in self._conflicts:
            if one.code == "extensions_differ":
                for minutes, here, there in _NAMED.findall(one.text):
                    key = one.session_id, int(minutes)
                    named[key] = (*named.get(key, ()), (int(here), int(there)))
        doubted = {one.key for one in self._conflicts if one.code == "extension_doubtful"}
        parked = {one.event.op_id for one in self._parked if isinstance(one.event, e.SessionExtended)}
        found = []
        for played in self._played.values():
            shown, desk = self._shown(played.session_id), self._by_desk(played.session_id)
            given: dict[tuple[int, int], list[str]] = {}
            for own in played.extended:
                given.setdefault((own.minutes, own.amount or 0), []).append(own.op_id)
            found += [
                Equals(
                    played.session_id,
                    kind[0],
                    len(op_ids),
                    desk[kind],
                    shown[kind],
                    len(parked & set(op_ids)),
                    len(doubted & set(op_ids)),
                    named.get((played.session_id, kind[0]), ()),
                )
                for kind, op_ids in given.items()
            ]
        return found

    def strange_extensions(self) -> list[str]:
        """What the server shows that the bay did not give, and not as often as the desk did."""
        found = []
        for played in self._played.values():
            own = {(one.minutes, one.amount or 0) for one in played.extended}
            shown, desk = self._shown(played.session_id), self._by_desk(played.session_id)
            found += [
                f"{played.session_id} shows {shown[kind]} of {kind}, the desk gave {desk[kind]}"
                for kind in (shown | desk).keys() - own
                if shown[kind] != desk[kind]
            ]
        return found

    def money_that_differs(self) -> list[str]:
        """Paid and owed for the extensions that the server shows: of these themselves see `extensions`."""
        found = []
        for played in self._played.values():
            row = self._row(played.session_id)
            if row is None:
                continue  # it was never booked: see `not_ended`
            wanted = self._wanted(played)
            shown = Money(row["paymentReceived"], row["paymentPending"])
            if shown != wanted:
                found.append(f"{played.session_id} shows {shown} for {wanted}")
        return found

    def _wanted(self, played: _Played) -> Money:
        sold = self._sold.get(played.session_id)
        base = sold.amount if sold else self._season.prices[self.server_id(played.session_id)]
        extended = sum(amount * times for (_, amount), times in self._shown(played.session_id).items())
        given: list[e.SessionExtended | e.DueSettled] = [*played.extended, *played.settled]
        paid = [one for one in given if one.payment in _TAKEN_HERE]
        told = sum(one.amount or 0 for one in paid if not self._is_payment_flagged(one))
        return Money(base + told, extended - told)

    def _is_payment_flagged(self, paid: e.SessionExtended | e.DueSettled) -> bool:
        due_id = paid.op_id if isinstance(paid, e.SessionExtended) else paid.due_id
        not_told = any(one.code == "payment_not_told" and one.key == due_id for one in self._conflicts)
        return not_told or any(one.event == paid for one in self._parked)

    def not_ended(self) -> set[str]:
        """Here and at the server."""
        found = set()
        for played in self._played.values():
            row = self._row(played.session_id)
            if played.ended is None or row is None or row["cancel"] or row["releaseTime"] is None:
                found.add(played.session_id)
        return found

    def bays_that_differ(self) -> set[str]:
        rows = {one.session_id: (one.at, self._row(one.session_id)) for one in self._played.values()}
        return {ours for ours, (at, row) in rows.items() if row is not None and row["bay"]["number"] != at}

    def games_that_differ(self) -> set[str]:
        found = set()
        for played in self._played.values():
            shown = self._games.get(self.server_id(played.session_id))
            if self._row(played.session_id) is None:
                continue  # it was never booked: see `not_ended`
            if played.game_id is not None and (shown is None or shown["id"] != played.game_id):
                found.add(played.session_id)
        return found

    def walk_ins_that_differ(self) -> list[str]:
        found, elsewhere = [], self.bays_that_differ()
        for session_id, sold in self._sold.items():
            row = self._row(session_id)
            if row is None:
                continue  # it was never booked: see `not_ended`
            stayed = not self._played[session_id].moved and session_id not in elsewhere
            if stayed and row["duration"] != sold.minutes:  # a move says anew how long it lasts
                found.append(f"{session_id} was booked for {row['duration']} minutes")
            elif row["billingUser"]["name"] != WALK_IN.name:
                found.append(f"{session_id} was booked as another")
        return found

    def unclaimed_walk_ins(self) -> set[str]:
        """Numbers of walk-ins at the server that are none of ours."""
        ours = set(self._numbers.values())
        return {
            server_id
            for server_id, row in self.rows.items()
            if row["billingUser"]["name"] == WALK_IN.name and server_id not in ours
        }

    def _shown(self, session_id: str) -> Counter[tuple[int, int]]:
        row = self._row(session_id)
        return Counter((one["duration"], one["amount"]) for one in (row or {}).get("extenedSession", ()))

    def _by_desk(self, session_id: str) -> Counter[tuple[int, int]]:
        return self._season.desk.get(self.server_id(session_id), Counter())
