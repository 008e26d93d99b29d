"""Guests, staff and the desk at a daemon that dies; what they were promised, and who has kept it in the end.

Every extension has an amount of its own, so that it can be told from all others: in the answers, in the
journal and at the server.
"""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.system.killed_pc import Answered, Json, KilledPc

OK, WRONG, LOCKED = 200, 401, 423
_TAKEN_HERE = ("cash", "card")
SHORT_MINUTES = 2  # ends by the clock
_GAMES = (1, 2, 3)


@dataclass(frozen=True, slots=True, order=True)
class Given:
    """More time that was promised."""

    minutes: int
    amount: int
    paid: bool  # at the bay, so at the server too


@dataclass
class Played:
    """One session, as its guest was answered."""

    bay: str
    minutes: int
    amount: int
    walk_in: bool
    session_id: str = ""  # the server's number, or ours of a walk-in
    given: list[Given] = field(default_factory=list)
    bays: list[str] = field(default_factory=list)  # where it has been
    game: int | None = None

    @property
    def sale(self) -> tuple[int, int] | None:
        return (self.minutes, self.amount) if self.walk_in else None


@dataclass(frozen=True, slots=True)
class Guess:
    """A wrong PIN, at a bay where a booking waits and nobody types the right one."""

    tries_left: int
    after_s: float  # at most, since the one before


class Evening:
    def __init__(self, pc: KilledPc, seed: int, *, guests: int, guessed_bay: str) -> None:
        self.pc = pc
        self.played: list[Played] = []
        self.guesses: list[Guess] = []
        self.done: Counter[str] = Counter()
        self.over = asyncio.Event()
        self.guessed_bay = guessed_bay
        self._seed = seed
        self._guests = guests
        self._amounts = itertools.count(1001)
        self._free: asyncio.Queue[str] = asyncio.Queue()
        for bay in pc.bays:
            if bay != guessed_bay:
                self._free.put_nowait(bay)

    async def run(self) -> None:
        """Until `over`, and everybody has gone home."""
        async with asyncio.TaskGroup() as people:
            for number in range(self._guests):
                people.create_task(self._guest(number), name=f"guest-{number}")
            people.create_task(self._guess(), name="guesser")

    # A guest

    async def _guest(self, number: int) -> None:
        chance = random.Random(f"{self._seed}-{number}")
        while not self.over.is_set():
            bay = await self._free.get()
            if self.over.is_set():
                self._free.put_nowait(bay)
                return
            played = await self._come(bay, chance)
            if played.minutes > SHORT_MINUTES:
                await self._play(played, chance)
            else:
                self.done["expire"] += 1
            await self._until_free(played.bay)
            for left in played.bays:
                self._free.put_nowait(left)

    async def _until_free(self, bay: str) -> None:
        await self.pc.until(lambda status: status["bays"][bay]["phase"] == "free", "for the end of play")

    async def _come(self, bay: str, chance: random.Random) -> Played:
        kind = chance.choices(["pin", "staff_start", "walk_in"], [5, 2, 4])[0]
        # A PIN that the server took would be worth nothing after a death that is longer than its session.
        is_short = kind != "pin" and chance.random() < 0.3
        minutes = SHORT_MINUTES if is_short else chance.randrange(300, 340)
        played = Played(bay, minutes, next(self._amounts), kind == "walk_in", bays=[bay])
        self.done[kind] += 1
        if kind == "walk_in":
            body = {"minutes": minutes, "amount": played.amount, "payment": "cash", "reason": "walked in"}
            answered = await self._yes(bay, "walk-in", body, staff=True)
            played.session_id = answered.document["session"]["id"]
            self.played.append(played)
            return played
        booked = await self.pc.book(bay, minutes, played.amount)
        played.session_id = str(booked["id"])
        self.played.append(played)
        await self.pc.until(
            lambda status: status["bays"][bay]["next_session_id"] == played.session_id, "for the booking"
        )
        if kind == "staff_start":
            body = {"reason": "no screen", "session_id": played.session_id}
            await self._yes(bay, "start", body, staff=True)
        else:
            await self._type(played, booked["pin"], chance)
        return played

    async def _type(self, played: Played, pin: str, chance: random.Random) -> None:
        if chance.random() < 0.3:
            wrong = await self.pc.press(played.bay, "pin", {"pin": _other_than(pin, chance)})
            assert wrong.status == WRONG, wrong.document
        while True:
            answered = await self.pc.press(played.bay, "pin", {"pin": pin})
            code = answered.document.get("code")
            if answered.status == OK:
                assert answered.document["session"]["id"] == played.session_id
                return
            # Only who was killed meanwhile is told no: the check that broke off is a try, whatever it was.
            assert answered.lives, ("a right PIN was refused", played, answered.document)
            if code == "already_playing":
                return
            assert code in ("wrong_pin", "check_running", "pin_unavailable"), answered.document
            self.done["typed_again"] += 1

    async def _play(self, played: Played, chance: random.Random) -> None:
        acts: dict[str, Callable[[Played, random.Random], Awaitable[None]]] = {
            name: getattr(self, f"_{name}") for name in ("pay", "owe", "ask", "desk", "move", "game")
        }
        names = [name for name in acts if name != "game" or not self.pc.eight_only]
        for name in chance.sample(names, k=chance.randrange(2, 5)):
            await asyncio.sleep(chance.uniform(0.02, 0.3))
            await acts[name](played, chance)
            self.done[name] += 1
        staff = chance.random() < 0.5
        body = {"session_id": played.session_id, **({"reason": "goes home"} if staff else {})}
        await self._yes(played.bay, "end", body, staff=staff)
        self.done["end"] += 1

    async def _pay(self, played: Played, chance: random.Random) -> None:
        await self._extend(played, chance, chance.choice(_TAKEN_HERE))

    async def _desk(self, played: Played, chance: random.Random) -> None:
        await self._extend(played, chance, "desk")

    async def _owe(self, played: Played, chance: random.Random) -> None:
        given = await self._extend(played, chance, "on_account")
        if chance.random() < 0.6:
            dues = (await self.pc.until(lambda _: True))["bays"][played.bay]["dues"]
            (due,) = [one["due_id"] for one in dues if one["amount"] == given.amount]
            body = {"due_id": due, "payment": "cash", "reason": "paid later"}
            await self._yes(played.bay, "dues/settle", body, staff=True)
            played.given[-1] = Given(given.minutes, given.amount, paid=True)
            self.done["settle"] += 1

    async def _ask(self, played: Played, chance: random.Random) -> None:
        minutes = chance.choice([15, 30, 60])
        body: Json = {"minutes": minutes, "session_id": played.session_id}
        answered = await self._yes(played.bay, "extend", body)
        asked = answered.document["extension"]["asked"]["request_id"]
        payment, amount = chance.choice(["cash", "on_account"]), next(self._amounts)
        body = {"payment": payment, "amount": amount, "request_id": asked, "session_id": played.session_id}
        await self._yes(played.bay, "extend/approve", body, staff=True)
        played.given.append(Given(minutes, amount, payment in _TAKEN_HERE))

    async def _move(self, played: Played, _chance: random.Random) -> None:
        """The bay that was left stays empty meanwhile: the server may hear of it late, or never."""
        if self._free.empty():
            return
        to = self._free.get_nowait()
        body = {"to": to, "reason": "the net is torn", "session_id": played.session_id}
        await self._yes(played.bay, "move", body, staff=True)
        played.bay = to
        played.bays.append(to)

    async def _game(self, played: Played, chance: random.Random) -> None:
        played.game = chance.choice(_GAMES)
        body = {"game_id": played.game, "session_id": played.session_id}
        await self._yes(played.bay, "game", body, staff=True)

    async def _extend(self, played: Played, chance: random.Random, payment: str) -> Given:
        minutes, amount = chance.randrange(1, 10), next(self._amounts)
        body = {
            "minutes": minutes, "amount": amount, "payment": payment, "reason": "asked for it",
            "session_id": played.session_id,
        }  # fmt: skip
        await self._yes(played.bay, "extend", body, staff=True)
        played.given.append(Given(minutes, amount, payment in _TAKEN_HERE))
        return played.given[-1]

    async def _yes(self, bay: str, act: str, body: Json, *, staff: bool = False) -> Answered:
        answered = await self.pc.press(bay, act, body, staff=staff)
        assert answered.status == OK, (act, answered.document)
        return answered

    # A guesser

    async def _guess(self) -> None:
        """Tries as soon as the pad lets him; of each try he learns what it cost."""
        chance = random.Random(f"{self._seed}-guesser")
        bay, loop = self.guessed_bay, asyncio.get_running_loop()
        booked = await self.pc.book(bay, 200, 1)
        await self.pc.until(lambda status: status["bays"][bay]["booked"] == 1, "for the booking")
        tried_at = loop.time()
        while not self.over.is_set():
            sent_at = loop.time()
            answered = await self.pc.press(bay, "pin", {"pin": _other_than(booked["pin"], chance)})
            document = answered.document
            if answered.status == LOCKED:
                await asyncio.sleep(min(0.3, document["retry_after_s"]))
                continue
            assert answered.status == WRONG or "tries_left" in document, document
            self.guesses.append(Guess(document["tries_left"], loop.time() - tried_at))
            tried_at = sent_at


def _other_than(pin: str, chance: random.Random) -> str:
    """The reference draws PINs by chance: the next number is as good as any, and not this one."""
    return f"{(int(pin) + chance.randrange(1, 10**6)) % 10**6:06d}"
