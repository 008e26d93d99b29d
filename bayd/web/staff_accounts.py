"""People who sign in at the board: a name, a role and a PIN of their own.

Of a PIN only an HMAC-SHA256 under the site key is kept, bound to the name. A wrong one counts before it
is answered (`sign_in_tries`). A name that nobody has is answered like one that somebody has, after as much
work.

One act at a time: who is locked by an administrator while signing in is in before the lock or not at all.
"""

import asyncio
import hashlib
import hmac
import itertools
import re
from dataclasses import dataclass, replace
from typing import Literal

from bayd.core import events as e
from bayd.core.audit import AuditNote, Fact
from bayd.core.inputs import Actor, Role
from bayd.journal import Journal, StoredStaff, Writer
from bayd.ports import Clock, Randomness
from bayd.web.sign_in_tries import SignInTries, Write

NAME_PATTERN = r"^[a-z][a-z0-9._-]{0,31}$"
PIN_PATTERN = r"^[0-9]{6,12}$"
_LEAST_DIGITS = 3  # different ones
_NOBODYS_DIGEST = bytes(32)

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
        tries: SignInTries,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._journal = journal
        self._site_key = site_key
        self._tries = tries
        self._clock = clock
        self._randomness = randomness
        self._people: dict[str, StoredStaff] = {}
        self._one_at_a_time = asyncio.Lock()

    @property
    def is_on(self) -> bool:
        return self._site_key is not None

    async def load(self) -> None:
        """Raises JournalUnavailableError."""
        people = await self._journal.query(lambda reader: reader.staff())
        self._people = {person.name: person for person in people}
        await self._tries.load()

    def people(self) -> tuple[StoredStaff, ...]:
        return tuple(self._people[name] for name in sorted(self._people))

    def find(self, name: str) -> StoredStaff | None:
        return self._people.get(name)

    def locked_for_s(self, person: StoredStaff) -> int:
        """The rest of the longest lock that wrong PINs have brought, from wherever they came."""
        return self._tries.longest_lock_s(person.name)

    async def put(self, name: str, role: Role, pin: str, by: Actor) -> None:
        """A new person, or a new PIN for one, who is then locked no more.

        Raises TrivialPinError, JournalError.
        """
        refuse_trivial(pin)
        person = StoredStaff(name, role.value, self._digest(name, pin), self._clock.now().wall_ms, False)
        async with self._one_at_a_time:
            await self._store(person, by, "StaffAdded")
            await self._tries.forget(name)

    async def lock(self, name: str, by: Actor, reason: str) -> None:
        """Until a new PIN is given. Raises KeyError, JournalError."""
        async with self._one_at_a_time:
            await self._store(replace(self._people[name], locked=True), by, "StaffLocked", reason)

    async def sign_in(self, name: str, pin: str, address: str) -> Actor | Refused:
        """Raises JournalError: a try that cannot be recorded is not answered."""
        if self._site_key is None:
            return Refused("off")
        async with self._one_at_a_time:
            if (locked_s := self._tries.locked_for_s(name, address)) > 0:
                return Refused("locked_out", 0, locked_s)
            person = self._people.get(name)
            digest = _NOBODYS_DIGEST if person is None else person.digest
            # Compared in any case, and answered after one commit in any case: the time tells nothing.
            right = hmac.compare_digest(self._digest(name, pin), digest)
            if person is None or not right:
                row = None if person is None else _not_signed_in(name, address)
                tries_left = await self._tries.count(name, address, self._writing(row))
                return Refused("wrong", tries_left, self._tries.locked_for_s(name, address) or None)
            signed_in = AuditNote(name, person.role, "StaffSignedIn", {}, "", {}, {})
            row = _not_signed_in(name, address) if person.locked else signed_in
            await self._tries.forgive(name, address, self._writing(row))
            return Refused("locked_by_staff") if person.locked else Actor(Role(person.role), name)

    async def _store(self, person: StoredStaff, by: Actor, act: str, reason: str = "") -> None:
        asked: dict[str, Fact] = {"name": person.name, "role": person.role}
        before, after = _facts(self._people.get(person.name)), _facts(person)
        note = self._writing(AuditNote(by.name, by.role.value, act, asked, reason, before, after))

        def write(writer: Writer[e.Event]) -> None:
            writer.store_staff(person)
            note(writer)

        await self._journal.transact(write)
        self._people[person.name] = person

    def _writing(self, row: AuditNote | None) -> Write:
        """What writes the row, in the commit of what it tells of."""
        act_id, at = self._randomness.new_id(), self._clock.now()
        return lambda writer: None if row is None else writer.note(act_id, at, row)

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


def _not_signed_in(name: str, address: str) -> AuditNote:
    """Who it was nobody knows: the address is what stands for them."""
    return AuditNote(address, "nobody", "StaffNotSignedIn", {"name": name}, "", {}, {})


def _facts(person: StoredStaff | None) -> dict[str, Fact]:
    return {} if person is None else {"role": person.role, "locked": person.locked}
