"""A season of a range by a seed: guests, staff, the desk, a bad network, a PC that crashes; then an audit.

What the journal has and what the server shows are compared in the end, extension by extension. Minutes and
amounts are chosen so that each extension of a session can be told from the others.
"""

import asyncio
import random
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core.model import Bay, Phase
from bayd.journal import NotWrittenError, Recorded
from tests.reconcile.central_world import (
    ADMIN_PASSWORD,
    SCREEN,
    STAFF,
    WALK_IN,
    CentralWorld,
    Fault,
)
from tests.simulation.move_audit import DeskMove, MoveAudit

Json = dict[str, Any]
_WRITES = ("POST", "PATCH")
_LAWFUL = ("refused", "lost", "unanswered", "status", "garbled", "delayed")
_DOUBLED = ("doubled", "doubled_unanswered")
_OWN_MINUTES = range(1, 11)
_DESK_MINUTES = range(11, 14)
_GAMES = (1, 2, 3)
_DOUBTED = re.compile(r"The answer to (\d+) more minutes got lost")
_CONFIRMED = re.compile(r"Extensions of (\d+) minutes: (\d+) given here, (\d+) shown there\.")


@dataclass(frozen=True)
class Weather:
    """What may happen between the PC and the server, and at the desk."""

    share: float = 0.25  # of the writes that meet a fault
    kinds: tuple[str, ...] = _LAWFUL
    longest_s: float = 28  # until a delayed or doubled request arrives; settle_s is 30
    equals: bool = False  # the desk gives the same minutes for the same amount as the bay did


LAWFUL = Weather()
DOUBLING = Weather(kinds=_LAWFUL + _DOUBLED, longest_s=200)
LAWLESS = Weather(kinds=_LAWFUL + _DOUBLED, longest_s=200, equals=True)


@dataclass
class Season:
    """Drive it with `run`, then look at the `Audit`."""

    world: CentralWorld
    weather: Weather
    operations: int
    seed: int
    done: Counter[str] = field(default_factory=Counter)
    booked: dict[str, Json] = field(default_factory=dict)  # by the server's number
    prices: dict[str, int] = field(default_factory=dict)
    spoilt: set[str] = field(default_factory=set)  # cancelled or ended at the desk
    desk: dict[str, Counter[tuple[int, int]]] = field(default_factory=dict)
    desk_moves: list[DeskMove] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    crashes: int = 0
    _minutes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._names = (f"{self.seed}-{number}" for number in range(10**9))

    async def run(self) -> None:
        self.world.wire.chance = self._chance
        while self._left() > 0:
            self.world.disk.crash_at = self.world.disk.commits + self._random.randrange(40, 300)
            self.world.disk.after = self._random.random() < 0.5
            if not await self.world.lives_through(self._evening):
                self.crashes += 1
            self.world.pass_by(self._random.choice([1, 20, 50]))
        self.world.wire.chance = lambda _method, _path: None
        self.world.wire.down = False

    def _left(self) -> int:
        return self.operations - sum(self.done.values())

    def _chance(self, method: str, path: str) -> Fault | None:
        share = self.weather.share if method in _WRITES else self.weather.share / 8
        if path.startswith("/bay") or self._random.random() >= share:
            return None
        kind = self._random.choice(self.weather.kinds if method == "POST" else _LAWFUL)
        longest_s = self.weather.longest_s if method == "POST" else 9
        self.faults[kind] += 1
        return Fault(kind, method, path, delay_s=self._random.uniform(0.1, longest_s))

    async def _evening(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in self.world.bays:
                tasks.create_task(self._guests(number), name=f"guests-{number}")
            tasks.create_task(self._outages(), name="outages")

    async def _outages(self) -> None:
        while self._left() > 0:
            if self.world.wire.down:  # also before the PC crashed
                await asyncio.sleep(self._random.uniform(20, 300))
                self.world.wire.down = False
            await asyncio.sleep(self._random.uniform(200, 2000))
            self.world.wire.down = True
        self.world.wire.down = False

    async def _guests(self, number: str) -> None:
        while self._left() > 0:
            await asyncio.sleep(self._random.uniform(0.2, 25))
            bay = self.world.bay(number)
            act, name = self._choose(bay)
            if name != "wait":
                self.done[name] += 1
            try:
                await act(bay)
            except NotWrittenError:
                assert self.world.disk.dead

    def _choose(self, bay: Bay) -> tuple[Callable[[Bay], Awaitable[None]], str]:
        shares: dict[str, int] = {}
        match bay.phase:
            case Phase.PLAYING:
                assert bay.session is not None
                if bay.session.session_id in self.spoilt:
                    shares = {"wait": 1}
                else:
                    shares = {"extend": 9, "end": 5, "game": 3, "pause": 1, "desk_extend": 3, "desk_end": 1}
                    shares["expire"] = 2
                    if self.world.minimal is None and self._free_bays():  # a move is none of the eight calls
                        shares |= {"move": 6, "desk_move": 3}
            case Phase.PAUSED:
                shares = {"resume": 1}
            case Phase.BOOKED if any(b.session_id in self.spoilt for b in bay.bookings):
                shares = {"wait": 1}
            case Phase.BOOKED:
                shares = {"pin": 8, "wrong_pin": 1, "staff_start": 2, "desk_cancel": 1}
            case Phase.FREE:
                shares = {"book": 6, "walk_in": 3}
            case _:
                shares = {"book": 1, "wait": 3}
        name = self._random.choices(list(shares), list(shares.values()))[0]
        return getattr(self, f"_{name}"), name

    # At the bay

    async def _pin(self, bay: Bay) -> None:
        booking = bay.bookings[0]
        if booking.session_id not in self.booked:
            return
        outcome = await self.world.type_pin(self.booked[booking.session_id]["pin"], bay.number)
        if outcome.decision.refusal is not None and outcome.decision.refusal.code == "locked":
            await self.world.submit(i.UnlockPad(STAFF, "the guest was known"), bay.number)

    async def _wrong_pin(self, bay: Bay) -> None:
        known = {session["pin"] for session in self.booked.values()}
        wrong = next(
            pin for pin in iter(lambda: f"{self._random.randrange(10**6):06d}", "") if pin not in known
        )
        await self.world.type_pin(wrong, bay.number)

    async def _staff_start(self, bay: Bay) -> None:
        await self.world.submit(i.StartPlay(STAFF, "the screen is broken"), bay.number)

    async def _walk_in(self, bay: Bay) -> None:
        minutes, amount = self._random.randrange(3, 9), self._random.randrange(100, 999)
        await self.world.submit(i.WalkIn(f"w{next(self._names)}", minutes, amount, STAFF, "cash"), bay.number)

    async def _extend(self, bay: Bay) -> None:
        assert bay.session is not None
        minutes = self._minutes.get(bay.session.session_id, 0) + 1
        if minutes not in _OWN_MINUTES:
            return
        self._minutes[bay.session.session_id] = minutes
        request = i.Extend(f"x{next(self._names)}", minutes, minutes * 100, STAFF, "cash")
        await self.world.submit(request, bay.number)

    async def _game(self, bay: Bay) -> None:
        game = self.world.parts.games.known(self._random.choice(_GAMES))
        if game is not None:
            await self.world.submit(i.SelectGame(game, SCREEN), bay.number)

    async def _pause(self, bay: Bay) -> None:
        await self.world.submit(i.Pause(STAFF, "lightning"), bay.number)

    async def _resume(self, bay: Bay) -> None:
        await self.world.submit(i.Resume(STAFF), bay.number)

    async def _end(self, bay: Bay) -> None:
        await self.world.submit(i.End(STAFF, "left early"), bay.number)

    async def _expire(self, bay: Bay) -> None:
        await self._wait_while(bay, within_s=1200)

    async def _wait(self, _bay: Bay) -> None:
        await asyncio.sleep(10)

    async def _wait_while(self, bay: Bay, within_s: float) -> None:
        for _ in range(round(within_s / 5)):
            if self.world.bay(bay.number).phase is not bay.phase:
                return
            await asyncio.sleep(5)

    async def _move(self, bay: Bay) -> None:
        if free := self._free_bays():
            to = self._random.choice(free)
            await self.world.submit(i.Move(to, STAFF, "the net is torn"), bay.number)

    def _free_bays(self) -> list[str]:
        bays = map(self.world.bay, self.world.bays)
        return [bay.number for bay in bays if bay.phase is Phase.FREE and not bay.bookings]

    # At the desk

    async def _desk_move(self, bay: Bay) -> None:
        """The desk looks first who plays there, and who is on the way there: the call names bays alone."""
        assert bay.session is not None
        free = [number for number in self._free_bays() if await self._is_told(self.world.bay(number))]
        server_id = self._server_id(bay.session.session_id)
        if server_id is None or not free or not await self._is_told(bay):
            return
        to = self._random.choice(free)
        if (await self.world.page(server_id))["bay"]["number"] != bay.number:
            return
        request = {"currentBay": bay.number, "newBay": to, "adminPassword": ADMIN_PASSWORD}
        move = DeskMove(server_id, to, asyncio.get_running_loop().time())
        self.desk_moves.append(move)  # it stands, too, where the PC dies before the desk has its answer
        status, _ = await self.world.ask("POST", "/bay/sessionBayChange", request)
        if status != 200:
            self.desk_moves.remove(move)

    async def _book(self, bay: Bay) -> None:
        minutes, amount = self._random.randrange(3, 11), self._random.randrange(100, 999)
        session = await self.world.book(bay.number, minutes, amount)
        self.booked[str(session["id"])] = session
        self.prices[str(session["id"])] = amount
        await self._wait_while(bay, within_s=90)

    async def _desk_cancel(self, bay: Bay) -> None:
        booking = bay.bookings[0].session_id
        if booking in self.booked and await self._is_told(bay):
            self.spoilt.add(booking)
            await self.world.call("POST", f"/session/{booking}/end")

    async def _desk_end(self, bay: Bay) -> None:
        assert bay.session is not None
        server_id = self._server_id(bay.session.session_id)
        if server_id is None or self.world.minimal is not None or not await self._is_told(bay):
            return
        self.spoilt.add(bay.session.session_id)
        await self.world.ask("POST", f"/session/{server_id}/end", {})

    async def _desk_extend(self, bay: Bay) -> None:
        assert bay.session is not None
        server_id = self._server_id(bay.session.session_id)
        if server_id is None:
            return
        minutes = self._random.choice(_DESK_MINUTES)
        amount = minutes * 10
        if self.weather.equals and bay.session.own_extensions and self._random.random() < 0.5:
            minutes, amount = bay.session.own_extensions[-1].minutes, bay.session.own_extensions[-1].amount
        status, _ = await self.world.ask(
            "POST", f"/session/addSessionTime/{server_id}", {"duration": minutes, "amount": amount}
        )
        if status == 200:
            self.desk.setdefault(server_id, Counter())[minutes, amount] += 1

    async def _is_told(self, bay: Bay) -> bool:
        """Nothing of the bay's or its session's waits that the desk's act would make impossible."""
        session_id = "" if bay.session is None else bay.session.session_id
        items = [item for item in await self.world.parts.outbox.items() if not item.parked]
        waits = any(item.bay == bay.number or item.session_id == session_id for item in items)
        return not waits and not self.world.wire.down

    def _server_id(self, session_id: str) -> str | None:
        if session_id.isdecimal():
            return session_id
        known = (self.world.bay(number).numbers.items() for number in self.world.bays)
        return next((server for numbers in known for server, ours in numbers if ours == session_id), None)

    async def settle(self) -> "Audit":
        """Everybody goes home, all is delivered, the last polls are made."""
        for number in self.world.bays:
            if self.world.bay(number).session is not None:
                await self.world.submit(i.End(STAFF, "closing time"), number)
        await self.world.delivered(within_s=7200)
        await asyncio.sleep(400)
        records: list[Recorded[e.Event]] = []
        while batch := await self.world.journal.read(records[-1].seq if records else 0, limit=1000):
            records += batch
        parked = {one.seq: one.reason for one in await self.world.journal.parked("central")}
        games = {row["id"]: row["game"] for row in await self._list()}
        return Audit(
            records, parked, {str(row["id"]): row for row in await self.world.history()}, games, self
        )

    async def _list(self) -> list[Json]:
        rows: list[Json] = []
        while page := await self.world.call("GET", f"/session?page={len(rows) // 500 + 1}&per_page=500"):
            rows += page
            if len(page) < 500:
                break
        return rows


@dataclass(frozen=True)
class Difference:
    session: str
    what: str


@dataclass(frozen=True)
class GivenHere:
    """An extension that the bay gave once, with all that is known of it on both sides."""

    session: str
    minutes: int
    shown: int  # so many like it at the server
    desk: int  # so many of them, or equal to them, the desk gave
    parked: bool
    flagged: bool  # shown to staff as set aside, or as not shown as often as it was given
    doubted: bool  # staff were told that its answer got lost, and that one like it was taken for it


class Audit:
    """The journal's books beside the server's."""

    def __init__(
        self,
        records: list[Recorded[e.Event]],
        parked: dict[int, str],
        rows: dict[str, Json],
        games: dict[int, Json | None],
        season: Season,
    ) -> None:
        self.parked = parked
        self._rows = rows
        self._games = games
        self._season = season
        self._numbers: dict[str, str] = {}
        self._walk_ins: dict[str, e.WalkInSold] = {}
        self._extended: dict[str, list[e.SessionExtended]] = {}
        self._chosen: dict[str, int] = {}
        self._ended: dict[str, e.SessionEnded] = {}
        self._started: Counter[str] = Counter()
        self._at: dict[str, str] = {}  # the bay where it plays, or played last
        self._moved = Counter[str]()
        self._conflicts: list[e.ConflictSeen] = []
        self._parked_of: dict[str, list[e.Event]] = {}
        self.moves = MoveAudit(season.desk_moves, season.world.wire.seen)
        for record in records:
            self._enter(record)
            self.moves.enter(record)

    def _enter(self, record: Recorded[e.Event]) -> None:
        match record.event:
            case e.SessionNumbered(ours, server_id):
                assert self._numbers.setdefault(ours, server_id) == server_id  # again where it moved to
            case e.WalkInSold() as sold:
                self._walk_ins[sold.session_id] = sold
            case e.SessionStarted(session_id):
                self._started[session_id] += 1
                self._at[session_id] = record.bay
            case e.SessionMovedIn(session, come_from):
                assert self._at[session.session_id] == come_from
                self._at[session.session_id] = record.bay
                self._moved[session.session_id] += 1
            case e.SessionExtended() as extended if extended.own:
                self._extended.setdefault(extended.session_id, []).append(extended)
            case e.GameSelected(session_id, game):
                self._chosen[session_id] = game.id
            case e.SessionEnded() as ended:
                assert ended.session_id not in self._ended
                assert self._at[ended.session_id] == record.bay, "it ends where it was moved to"
                self._ended[ended.session_id] = ended
            case e.ConflictSeen() as conflict:
                self._conflicts.append(conflict)
            case _:
                pass
        if record.seq in self.parked:
            session_id = getattr(record.event, "session_id", "")
            self._parked_of.setdefault(session_id, []).append(record.event)

    def assert_no_difference(self) -> None:
        assert self.parked == {}, self.parked
        assert [one for one in self.given_here() if one.shown != 1 + one.desk or one.flagged] == []
        assert self.strange_extensions() == []
        assert self.money_that_differs() == []
        assert self.ends_that_differ() == []
        assert self.games_that_differ() == []
        assert self.walk_ins_that_differ() == []
        self.assert_moves_differ_as_flagged()
        assert self.unclaimed_walk_ins() == set()
        assert self.strangers() == set()

    def assert_moves_differ_as_flagged(self) -> None:
        """What differs are moves that the desk forestalled, and all of them are flagged, once at a time."""
        differing = self.moves_that_differ()
        assert differing == self.moves.standing_flags(self._shown())
        assert differing <= self.moves.races()
        assert set(self.moves.flagged) <= self.moves.races()

    def moves_that_differ(self) -> set[str]:
        return self.moves.differing(self._shown())

    def _shown(self) -> dict[str, str]:
        return {server_id: row["bay"]["number"] for server_id, row in self._rows.items()}

    def server_id(self, session_id: str) -> str:
        return self._numbers.get(session_id, session_id)

    def sessions(self) -> list[str]:
        return list(self._started)

    def move_count(self) -> int:
        return self._moved.total()

    def walk_ins(self) -> list[str]:
        return list(self._walk_ins)

    def rows(self) -> dict[str, Json]:
        """What the server shows, by its numbers."""
        return self._rows

    def row(self, session_id: str) -> Json | None:
        return self._rows.get(self._numbers.get(session_id, session_id))

    def flagged(self, *codes: str) -> set[str]:
        """Sessions of which the daemon said so."""
        return {conflict.session_id for conflict in self._conflicts if conflict.code in codes}

    def parked_sessions(self) -> set[str]:
        return set(self._parked_of)

    # What differs

    def given_here(self) -> list[GivenHere]:
        """Each differs from the others of its session in its minutes."""
        flagged, parked = set[tuple[str, int]](), set[tuple[str, int]]()
        doubted = set[tuple[str, int]]()
        for conflict in self._conflicts:
            session_id = conflict.session_id
            if conflict.code == "extensions_differ":
                flagged |= {(session_id, int(found[0])) for found in _CONFIRMED.findall(conflict.text)}
            if conflict.code == "extension_doubtful":
                doubted |= {(session_id, int(found)) for found in _DOUBTED.findall(conflict.text)}
        for session_id, events in self._parked_of.items():
            parked |= {(session_id, x.minutes) for x in events if isinstance(x, e.SessionExtended)}
        found = []
        for session_id, extensions in self._extended.items():
            row = self.row(session_id)
            shown = Counter((x["duration"], x["amount"]) for x in row["extenedSession"]) if row else Counter()
            desk = self._season.desk.get(self._numbers.get(session_id, session_id), Counter())
            for own in extensions:
                kind, name = (own.minutes, own.amount or 0), (session_id, own.minutes)
                is_parked = name in parked
                is_flagged = is_parked or name in flagged
                found.append(
                    GivenHere(*name, shown[kind], desk[kind], is_parked, is_flagged, name in doubted)
                )
        return found

    def strange_extensions(self) -> list[Difference]:
        """What the server shows that neither the bay nor the desk gave."""
        found = []
        for session_id in self._started:
            row = self.row(session_id)
            own = {(x.minutes, x.amount or 0) for x in self._extended.get(session_id, ())}
            desk = self._season.desk.get(self._numbers.get(session_id, session_id), Counter())
            for extra in (row or {"extenedSession": []})["extenedSession"]:
                kind = (extra["duration"], extra["amount"])
                if kind not in own and kind not in desk:
                    found.append(Difference(session_id, f"shows {kind}"))
        return found

    def money_that_differs(self) -> list[Difference]:
        """Paid and owed at the server, beside what was sold, extension by extension."""
        found = []
        for session_id in self._started:
            row = self.row(session_id)
            if row is None:
                found.append(Difference(session_id, "is not at the server"))
                continue
            walk_in = self._walk_ins.get(session_id)
            server_id = self._numbers.get(session_id, session_id)
            booked = self._season.booked.get(server_id)
            base = walk_in.amount if walk_in else self._season.prices[server_id] if booked else 0
            desk = self._season.desk.get(server_id, Counter())
            wanted = base + sum(x.amount or 0 for x in self._extended.get(session_id, ()))
            wanted += sum(amount * times for (_, amount), times in desk.items())
            if row["paymentPending"] + row["paymentReceived"] != wanted:
                found.append(
                    Difference(
                        session_id, f"shows {row['paymentPending'] + row['paymentReceived']} for {wanted}"
                    )
                )
        return found

    def ends_that_differ(self) -> list[Difference]:
        found = []
        for session_id in self._started:
            row = self.row(session_id)
            if session_id not in self._ended:
                found.append(Difference(session_id, "did not end here"))
            if row is None or row["cancel"] or row["active"] or row["releaseTime"] is None:
                found.append(Difference(session_id, "did not end at the server"))
        return found

    def games_that_differ(self) -> list[Difference]:
        found = []
        for session_id, game_id in self._chosen.items():
            shown = self._games.get(
                int(self._numbers.get(session_id, session_id if session_id.isdecimal() else 0))
            )
            if shown is None or shown["id"] != game_id:
                found.append(Difference(session_id, f"plays game {game_id}, shows {shown and shown['id']}"))
        return found

    def walk_ins_that_differ(self) -> list[Difference]:
        found = []
        for session_id, sold in self._walk_ins.items():
            row = self.row(session_id)
            if row is None:
                found.append(Difference(session_id, "was not booked"))
            elif session_id not in self._moved and row["duration"] != sold.minutes:
                found.append(Difference(session_id, f"was booked for {row['duration']} minutes"))
            elif row["billingUser"]["name"] != WALK_IN.name:
                found.append(Difference(session_id, "was booked as another"))
        return found

    def unclaimed_walk_ins(self) -> set[str]:
        """Numbers of walk-ins at the server that are none of ours."""
        ours = set(self._numbers.values())
        return {
            server_id
            for server_id, row in self._rows.items()
            if row["billingUser"]["name"] == WALK_IN.name and server_id not in ours
        }

    def strangers(self) -> set[str]:
        """Sessions at the server that nobody made."""
        ours = set(self._numbers.values()) | set(self._season.booked)
        return set(self._rows) - ours - self.unclaimed_walk_ins()
