"""People who sign in at the board: a name, a role and a PIN of their own.

Of a PIN only an HMAC-SHA256 under the site key is kept, bound to the name. A try counts, durably, before it
is checked, and is forgiven by success; after as many wrong ones as at a bay's pad the name is locked for as
long. A lock that a reboot interrupts begins anew: no reboot shortens one. A name that nobody has is answered
like one that somebody has.
"""

import asyncio
import hashlib
import hmac
import itertools
import re
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Literal

from bayd.core import events as e
from bayd.core.audit import AuditNote, Fact
from bayd.core.inputs import Actor, Role
from bayd.core.rules import Rules
from bayd.journal import Journal, StoredStaff
from bayd.ports import Clock, Randomness

NAME_PATTERN = r"^[a-z][a-z0-9._-]{0,31}$"
PIN_PATTERN = r"^[0-9]{6,12}$"
_LEAST_DIGITS = 3  # different ones
_STRANGERS_KEPT = 256  # names that nobody has and somebody tried

NoEntry = Literal["off", "wrong", "locked_out", "locked_by_staff"]


class TrivialPinError(Exception):
    """This PIN would be guessed; the text says why."""


@dataclass(frozen=True, slots=True)
class Refused:
    why: NoEntry
    tries_left: int | None = None
    locked_for_s: int | None = None


class StaffAccounts:
    """`load` before anybody signs in. Without `site_key` nobody does."""

    def __init__(
        self,
        journal: Journal[e.Event],
        site_key: bytes | None,
        rules: Rules,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._journal = journal
        self._site_key = site_key
        self._rules = rules
        self._clock = clock
        self._randomness = randomness
        self._people: dict[str, StoredStaff] = {}
        self._strangers: OrderedDict[str, StoredStaff] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()

    @property
    def is_on(self) -> bool:
        return self._site_key is not None

    async def load(self) -> None:
        """Raises JournalUnavailableError."""
        people = await self._journal.query(lambda reader: reader.staff())
        now_ms, boot_id = self._clock.now().boot_ms, self._clock.boot_id
        for person in people:
            if person.failures and person.boot_id != boot_id:
                person = replace(person, last_try_boot_ms=now_ms, boot_id=boot_id)  # noqa: PLW2901
            self._people[person.name] = person

    def people(self) -> tuple[StoredStaff, ...]:
        return tuple(self._people[name] for name in sorted(self._people))

    def find(self, name: str) -> StoredStaff | None:
        return self._people.get(name)

    def locked_for_s(self, person: StoredStaff) -> int:
        """The rest of the lock that wrong PINs have brought."""
        if person.last_try_boot_ms is None:
            return 0
        lock_ms = self._rules.pin_lock_ms(person.failures)
        return max(0, -(-(person.last_try_boot_ms + lock_ms - self._clock.now().boot_ms) // 1000))

    async def put(self, name: str, role: Role, pin: str, by: Actor) -> None:
        """A new person, or a new PIN for one, who is then locked no more.

        Raises TrivialPinError, JournalError.
        """
        refuse_trivial(pin)
        before = self._people.get(name)
        person = StoredStaff(name, role.value, self._digest(name, pin), self._clock.now().wall_ms, False)
        async with self._one_at_a_time:
            await self._store(person, by, "StaffAdded", before)

    async def lock(self, person: StoredStaff, by: Actor, reason: str) -> None:
        """Until a new PIN is given. Raises JournalError."""
        async with self._one_at_a_time:
            await self._store(replace(person, locked=True), by, "StaffLocked", person, reason)

    async def sign_in(self, name: str, pin: str) -> Actor | Refused:
        """Raises JournalError: a try that cannot be recorded is not checked."""
        if self._site_key is None:
            return Refused("off")
        async with self._one_at_a_time:
            known = self._people.get(name)
            person = known or self._stranger(name)
            if (locked_s := self.locked_for_s(person)) > 0:
                return Refused("locked_out", 0, locked_s)
            tried = self._tried(person)
            if known is None:
                self._remember(tried)
            else:
                await self._keep(tried)
            # Compared in any case, so that the time tells nothing.
            right = hmac.compare_digest(self._digest(name, pin), person.digest) and known is not None
            if not right:
                tries_left = max(0, self._rules.pin_tries - tried.failures)
                return Refused("wrong", tries_left, self.locked_for_s(tried) or None)
            await self._keep(replace(tried, failures=0, last_try_boot_ms=None))
            if person.locked:
                return Refused("locked_by_staff")
            actor = Actor(Role(person.role), name)
            await self._note(actor, "StaffSignedIn", {}, "", {}, {})
            return actor

    def _tried(self, person: StoredStaff) -> StoredStaff:
        """With one more failure; those of long ago are forgotten."""
        now_ms = self._clock.now().boot_ms
        forget_ms = self._rules.pin_forget_minutes * self._rules.minute_ms
        long_ago = person.last_try_boot_ms is not None and now_ms - person.last_try_boot_ms >= forget_ms
        failures = 1 if long_ago else person.failures + 1
        return replace(person, failures=failures, last_try_boot_ms=now_ms, boot_id=self._clock.boot_id)

    def _stranger(self, name: str) -> StoredStaff:
        return self._strangers.get(name) or StoredStaff(name, "staff", bytes(32), 0, False)

    def _remember(self, stranger: StoredStaff) -> None:
        self._strangers[stranger.name] = stranger
        self._strangers.move_to_end(stranger.name)
        if len(self._strangers) > _STRANGERS_KEPT:
            self._strangers.popitem(last=False)

    async def _keep(self, person: StoredStaff) -> None:
        await self._journal.transact(lambda writer: writer.store_staff(person))
        self._people[person.name] = person

    async def _store(
        self, person: StoredStaff, by: Actor, act: str, before: StoredStaff | None, reason: str = ""
    ) -> None:
        await self._keep(person)
        self._strangers.pop(person.name, None)
        asked: dict[str, Fact] = {"name": person.name, "role": person.role}
        await self._note(by, act, asked, reason, _facts(before), _facts(person))

    async def _note(
        self,
        by: Actor,
        act: str,
        asked: dict[str, Fact],
        reason: str,
        before: dict[str, Fact],
        after: dict[str, Fact],
    ) -> None:
        note = AuditNote(by.name, by.role.value, act, asked, reason, before, after)
        act_id, at = self._randomness.new_id(), self._clock.now()
        await self._journal.transact(lambda writer: writer.note(act_id, at, note))

    def _digest(self, name: str, pin: str) -> bytes:
        assert self._site_key is not None
        return hmac.digest(self._site_key, f"staff\0{name}\0{pin}".encode(), hashlib.sha256)


def refuse_trivial(pin: str) -> None:
    """Raises TrivialPinError."""
    if not re.fullmatch(PIN_PATTERN, pin, re.ASCII):
        raise TrivialPinError("A PIN has 6 to 12 digits.")
    steps = {int(b) - int(a) for a, b in itertools.pairwise(pin)}
    if steps in ({1}, {-1}):
        raise TrivialPinError("Digits in a row would be guessed.")
    if len(set(pin)) < _LEAST_DIGITS:
        raise TrivialPinError("At least three different digits, or it would be guessed.")
    if any(pin == pin[:size] * (len(pin) // size) for size in range(1, len(pin) // 2 + 1)):
        raise TrivialPinError("A part that is repeated would be guessed.")


def _facts(person: StoredStaff | None) -> dict[str, Fact]:
    return {} if person is None else {"role": person.role, "locked": person.locked}
