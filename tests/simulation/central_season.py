"""A season of a range by a seed: guests, staff, the desk, a bad network, a PC that crashes.

Whoever acts at a bay acts there alone: its guests, its staff and the desk take turns. So nobody undoes what
another does in the same moment, and whatever differs in the end is the fault of the network or of bayd. In
contrary weather the desk does not look: it moves whom the bay moves, to where the bay moves another, and
gives just the minutes that the bay has given. What both sides' books say then is for `central_audit`.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bayd.core import inputs as i
from bayd.core.extensions import offers
from bayd.core.model import Bay, Payment, Phase
from bayd.journal import NotWrittenError
from tests.reconcile.central_world import ADMIN_PASSWORD, SCREEN, STAFF, CentralWorld, Fault

Json = dict[str, Any]
_WRITES = ("POST", "PATCH")
_LAWFUL = ("refused", "lost", "unanswered", "status", "garbled", "delayed")
_DOUBLED = ("doubled", "doubled_unanswered")
_OWN_MINUTES = range(1, 5)
_OWN_EXTENSIONS = 8  # of a session, at most
_DESK_MINUTES = range(11, 14)
_GAMES = (1, 2, 3)
_FOLLOWED_IN_MS = 240_000  # a bay follows the desk by then, over crashes and bad answers


@dataclass(frozen=True)
class Weather:
    """What may happen between the PC and the server, and at the desk."""

    share: float = 0.25  # of the writes that meet a fault
    kinds: tuple[str, ...] = _LAWFUL
    longest_s: float = 28  # until a delayed or doubled request arrives; settle_s is 30
    contrary: bool = False  # the desk does what the bay does, in the same moment


LAWFUL = Weather()
DOUBLING = Weather(kinds=_LAWFUL + _DOUBLED, longest_s=200)
LAWLESS = Weather(kinds=_LAWFUL + _DOUBLED, longest_s=200, contrary=True)


@dataclass(frozen=True)
class DeskMove:
    """The desk's own log."""

    session: str  # the server's number
    come_from: str
    to: str


@dataclass
class Season:
    """Drive it with `run`, then `close`."""

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
    faults_of_moves: int = 0
    crashes: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._names = (f"{self.seed}-{number}" for number in range(10**9))
        self._taken: set[str] = set()  # bays where somebody acts
        self._on_the_way: list[DeskMove] = []  # made at the desk, and not followed yet

    async def run(self) -> None:
        self.world.wire.chance = self._chance
        async with asyncio.TaskGroup() as self._desk_tasks:
            while self._left() > 0:
                self.world.disk.crash_at = self.world.disk.commits + self._random.randrange(40, 300)
                self.world.disk.after = self._random.random() < 0.5
                if not await self.world.lives_through(self._evening):
                    self.crashes += 1
                self.world.pass_by(self._random.choice([1, 20, 50]))
        self.world.wire.chance = lambda _method, _path: None
        self.world.wire.down = False

    async def close(self) -> None:
        """Everybody goes home, all is delivered, the last polls are made."""
        for number in self.world.bays:
            if self.world.bay(number).session is not None:
                await self.world.submit(i.End(STAFF, "closing time"), number)
        await self.world.delivered(within_s=7200)
        await asyncio.sleep(400)

    def _left(self) -> int:
        return self.operations - sum(self.done.values())

    def _chance(self, method: str, path: str) -> Fault | None:
        writes = method in _WRITES
        if self._random.random() >= (self.weather.share if writes else self.weather.share / 8):
            return None
        kind = self._random.choice(self.weather.kinds if writes else _LAWFUL)
        self.faults[kind] += 1
        self.faults_of_moves += path == "/bay/sessionBayChange"
        return Fault(
            kind, method, path, delay_s=self._random.uniform(0.1, self.weather.longest_s if writes else 9)
        )

    async def _evening(self) -> None:
        self._taken.clear()
        async with asyncio.TaskGroup() as tasks:
            for number in self.world.bays:
                tasks.create_task(self._turns(number), name=f"turns-{number}")
            tasks.create_task(self._outages(), name="outages")

    async def _outages(self) -> None:
        while self._left() > 0:
            if self.world.wire.down:  # also before the PC crashed
                await asyncio.sleep(self._random.uniform(20, 300))
                self.world.wire.down = False
            await asyncio.sleep(self._random.uniform(200, 2000))
            while self._on_the_way:  # noqa: ASYNC110 # virtual time
                await asyncio.sleep(5)
            self.world.wire.down = True
        self.world.wire.down = False

    # Turns

    async def _turns(self, number: str) -> None:
        while self._left() > 0:
            await asyncio.sleep(self._random.uniform(0.2, 25))
            if self._is_taken(number):
                continue
            bay = self.world.bay(number)
            act, name = self._choose(bay)
            if name != "wait":
                self.done[name] += 1
            try:
                with self._at(number):
                    await act(bay)
            except NotWrittenError:
                assert self.world.disk.dead

    @contextmanager
    def _at(self, number: str) -> Iterator[None]:
        self._taken.add(number)
        try:
            yield
        finally:
            self._taken.discard(number)

    def _is_taken(self, number: str) -> bool:
        """Somebody acts there; or it has yet to follow the desk, or will be followed to."""
        self._on_the_way = [move for move in self._on_the_way if not self._is_followed(move)]
        return number in self._taken or any(number in (one.come_from, one.to) for one in self._on_the_way)

    def _is_followed(self, move: DeskMove) -> bool:
        session = self.world.bay(move.come_from).session
        return session is None or self._server_id(session.session_id) != move.session

    def _free_bays(self) -> list[str]:
        bays = [self.world.bay(number) for number in self.world.bays if not self._is_taken(number)]
        return [bay.number for bay in bays if bay.phase is Phase.FREE and not bay.bookings]

    def _choose(self, bay: Bay) -> tuple[Callable[[Bay], Awaitable[None]], str]:
        shares: dict[str, int] = {}
        match bay.phase:
            case Phase.PLAYING:
                assert bay.session is not None
                if bay.session.session_id in self.spoilt:
                    shares = {"wait": 1}
                else:
                    shares = {"extend": 8, "end": 5, "game": 3, "pause": 1, "desk_extend": 3, "desk_end": 1}
                    shares |= {"expire": 2, "press_for_more": 2}
                    if bay.session.extension_asked is not None:
                        shares["answer_press"] = 5
                    # Somebody waits for the bay: comes when it is free, or in the last minutes.
                    shares |= {"pin": 1} if bay.bookings else {"book": 1}
                    if self._free_bays():
                        shares |= self._moves()
            case Phase.PAUSED:
                shares = {"resume": 1}
            case Phase.BOOKED if any(b.session_id in self.spoilt for b in bay.bookings):
                shares = {"wait": 1}
            case Phase.BOOKED:
                shares = {"pin": 8, "wrong_pin": 1, "staff_start": 2, "desk_cancel": 1}
            case Phase.FREE:
                shares = {"book": 6, "walk_in": 3, "wait": 6}  # a bay that stays free may be moved to
            case _:
                shares = {"book": 1, "wait": 3}
        if bay.dues:
            shares["settle_due"] = 3
        name = self._random.choices(list(shares), list(shares.values()))[0]
        return getattr(self, f"_{name}"), name

    def _moves(self) -> dict[str, int]:
        if self.world.minimal is None:
            return {"move": 8, "desk_move": 6}
        # A move is none of the eight calls: the minimal server cannot follow.
        return {"move": 3} if self.weather.contrary else {}

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
        """Of so few lengths that some are given twice in a session."""
        if not self._may_take_more(bay):
            return
        minutes, payment = self._random.choice(_OWN_MINUTES), self._random.choice(list(Payment))
        request = i.Extend(f"x{next(self._names)}", minutes, minutes * 100, STAFF, "cash", payment=payment)
        await self.world.submit(request, bay.number)

    async def _press_for_more(self, bay: Bay) -> None:
        """At the screen: on account, or a question to staff where something is owed."""
        offered = offers(bay, self.world.rules)
        if offered and self._may_take_more(bay):
            offer = self._random.choice(offered)
            request = i.Extend(
                f"p{next(self._names)}",
                offer.minutes,
                None,
                SCREEN,
                "",
                shown_amount=offer.amount,
                shown_at_once=offer.at_once,
            )
            await self.world.submit(request, bay.number)

    async def _answer_press(self, bay: Bay) -> None:
        if not self._may_take_more(bay) or self._random.random() < 0.2:
            await self.world.submit(i.DeclineExtension(STAFF, "closing soon"), bay.number)
            return
        payment = self._random.choice(list(Payment))
        await self.world.submit(i.ApproveExtension(STAFF, "", payment), bay.number)

    def _may_take_more(self, bay: Bay) -> bool:
        return bay.session is not None and len(bay.session.own_extensions) < _OWN_EXTENSIONS

    async def _settle_due(self, bay: Bay) -> None:
        due = self._random.choice(bay.dues)
        payment = self._random.choice([Payment.CASH, Payment.CARD])
        await self.world.submit(i.SettleDue(due.due_id, payment, STAFF, "at the door"), bay.number)

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
            with self._at(to):
                await self.world.submit(i.Move(to, STAFF, "the net is torn"), bay.number)

    # At the desk

    async def _by_desk(self, act: Coroutine[Any, Any, None]) -> None:
        """What the desk has begun it ends, also where the PC dies meanwhile."""
        await asyncio.shield(self._desk_tasks.create_task(act, name="desk"))

    async def _book(self, bay: Bay) -> None:
        await self._by_desk(self._book_there(bay.number))
        if bay.session is None:
            await self._wait_while(bay, within_s=90)

    async def _book_there(self, number: str) -> None:
        minutes, amount = self._random.randrange(3, 11), self._random.randrange(100, 999)
        session = await self.world.book(number, minutes, amount)
        self.booked[str(session["id"])] = session
        self.prices[str(session["id"])] = amount

    async def _desk_cancel(self, bay: Bay) -> None:
        booking = bay.bookings[0].session_id
        if booking in self.booked and await self._is_told(bay.number):
            self.spoilt.add(booking)
            await self._by_desk(self._end_there(booking))

    async def _desk_end(self, bay: Bay) -> None:
        assert bay.session is not None
        server_id = self._server_id(bay.session.session_id)
        if server_id is None or not await self._is_told(bay.number):
            return
        self.spoilt.add(bay.session.session_id)
        await self._by_desk(self._end_there(server_id))

    async def _end_there(self, server_id: str) -> None:
        await self.world.ask("POST", f"/session/{server_id}/end", {})

    async def _desk_extend(self, bay: Bay) -> None:
        assert bay.session is not None
        server_id = self._server_id(bay.session.session_id)
        if server_id is None:
            return
        minutes = self._random.choice(_DESK_MINUTES)
        amount = minutes * 10
        if self.weather.contrary and bay.session.own_extensions and self._random.random() < 0.5:
            minutes, amount = bay.session.own_extensions[-1].minutes, bay.session.own_extensions[-1].amount
        await self._by_desk(self._extend_there(server_id, minutes, amount))

    async def _extend_there(self, server_id: str, minutes: int, amount: int) -> None:
        status, _ = await self.world.ask(
            "POST", f"/session/addSessionTime/{server_id}", {"duration": minutes, "amount": amount}
        )
        if status == 200:
            self.desk.setdefault(server_id, Counter())[minutes, amount] += 1

    async def _desk_move(self, bay: Bay) -> None:
        """The desk looks first who plays there, and whether the bay has told all; or in contrary weather
        does not, and the bay moves in the same moment."""
        assert bay.session is not None
        server_id, free = self._server_id(bay.session.session_id), self._free_bays()
        if server_id is None or not free:
            return
        to = self._random.choice(free)
        if self.weather.contrary:
            self._desk_tasks.create_task(self._move_there(server_id, bay.number, to), name="desk")
            if self._random.random() < 0.5:
                await asyncio.sleep(self._random.uniform(0, 5))
                await self._move(bay)
            return
        if bay.session.server_bays:
            return  # it takes back no move that the bay has not seen to have arrived
        with self._at(to):
            left_ms = bay.session.remaining_ms(self.world.clock.now().boot_ms)
            if left_ms > _FOLLOWED_IN_MS and await self._is_told(bay.number, to):
                await self._by_desk(self._move_there(server_id, bay.number, to))

    async def _move_there(self, server_id: str, come_from: str, to: str) -> None:
        shown = await self.world.page(server_id)
        if shown["bay"]["number"] != come_from or not shown["active"]:
            return
        move = DeskMove(server_id, come_from, to)
        if not self.weather.contrary:
            self._on_the_way.append(move)
        request = {"currentBay": come_from, "newBay": to, "adminPassword": ADMIN_PASSWORD}
        status, document = await self.world.ask("POST", "/bay/sessionBayChange", request)
        if status == 200:
            self.desk_moves.append(move)
        else:
            assert self.weather.contrary, document

    async def _is_told(self, *numbers: str) -> bool:
        """Nothing of these bays, or of who plays there, waits that the desk's act would make impossible."""
        sessions = [session for number in numbers if (session := self.world.bay(number).session) is not None]
        ids = {session.session_id for session in sessions}
        items = [item for item in await self.world.parts.outbox.items() if not item.parked]
        waits = any(item.bay in numbers or item.session_id in ids for item in items)
        return not waits and not self.world.wire.down

    def _server_id(self, session_id: str) -> str | None:
        if session_id.isdecimal():
            return session_id
        known = (self.world.bay(number).numbers.items() for number in self.world.bays)
        return next((server for numbers in known for server, ours in numbers if ours == session_id), None)
