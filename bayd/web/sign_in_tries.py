"""Wrong PINs at the board: they count by name and address, durably, before they are answered.

After as many as at a bay's pad the name is locked for that address, for as long: who guesses keeps the person
out of nowhere else. All addresses together have ten times as many, lest somebody with many addresses guess
on; one from which the person has signed in before has only its own. A success forgives; a lock that a reboot
interrupts begins anew. A name that nobody has is counted and locked like one that somebody has.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from bayd.core import events as e
from bayd.core.rules import Rules
from bayd.journal import Journal, StoredTries, Writer
from bayd.ports import Clock

_EVERYWHERE = ""
_EVERYWHERE_TIMES = 10
_KEPT = 2048  # the ones without a try for longest are forgotten

Write = Callable[[Writer[e.Event]], None]
_Key = tuple[str, str]  # name and address


class SignInTries:
    """`load` before anybody tries. One try at a time."""

    def __init__(self, journal: Journal[e.Event], rules: Rules, clock: Clock, *, kept: int = _KEPT) -> None:
        self._journal = journal
        self._rules = rules
        self._clock = clock
        self._kept = kept
        self._tries: OrderedDict[_Key, StoredTries] = OrderedDict()

    async def load(self) -> None:
        """Raises JournalUnavailableError."""
        now_ms, boot_id = self._clock.now().boot_ms, self._clock.boot_id
        for tries in await self._journal.query(lambda reader: reader.sign_in_tries()):
            if tries.boot_id != boot_id:
                tries = replace(tries, last_boot_ms=now_ms, boot_id=boot_id)  # noqa: PLW2901
            self._tries[tries.name, tries.address] = tries

    def locked_for_s(self, name: str, address: str) -> int:
        """The rest of the lock for who comes from there."""
        return max(self._rest_s(key) for key in self._counting(name, address))

    def longest_lock_s(self, name: str) -> int:
        """Of all addresses."""
        return max((self._rest_s(key) for key in self._tries if key[0] == name), default=0)

    async def count(self, name: str, address: str, also: Write) -> int:
        """One more, in one commit with `also`; how many may follow it before a lock. Raises JournalError."""
        counted = [self._one_more(key) for key in self._counting(name, address)]
        added = {(one.name, one.address) for one in counted} - self._tries.keys()
        forgotten = list(self._tries)[: max(0, len(self._tries) + len(added) - self._kept)]

        def write(writer: Writer[e.Event]) -> None:
            for old in forgotten:
                writer.remove_tries(*old)
            for one in counted:
                writer.store_tries(one)
            also(writer)

        await self._journal.transact(write)
        for old in forgotten:
            del self._tries[old]
        for one in counted:
            self._keep(one)
        return min(max(0, self._allowed(one.address) - one.failures) for one in counted)

    async def forgive(self, name: str, address: str, also: Write) -> None:
        """The PIN was right: from there the person is known to come. Raises JournalError."""
        now_ms, boot_id = self._clock.now().boot_ms, self._clock.boot_id
        known = StoredTries(name, address, known=True, failures=0, last_boot_ms=now_ms, boot_id=boot_id)

        def write(writer: Writer[e.Event]) -> None:
            writer.remove_tries(name, _EVERYWHERE)
            writer.store_tries(known)
            also(writer)

        await self._journal.transact(write)
        self._tries.pop((name, _EVERYWHERE), None)
        self._keep(known)

    async def forget(self, name: str) -> None:
        """The person has a new PIN. Raises JournalError."""
        await self._journal.transact(lambda writer: writer.remove_tries(name))
        for key in [key for key in self._tries if key[0] == name]:
            del self._tries[key]

    def _counting(self, name: str, address: str) -> list[_Key]:
        """Where a try from there counts."""
        own = (name, address)
        known = own in self._tries and self._tries[own].known
        return [own] if known else [own, (name, _EVERYWHERE)]

    def _one_more(self, key: _Key) -> StoredTries:
        """Those of long ago are forgotten."""
        now_ms, boot_id = self._clock.now().boot_ms, self._clock.boot_id
        before = self._tries.get(key) or StoredTries(
            *key, known=False, failures=0, last_boot_ms=now_ms, boot_id=boot_id
        )
        forget_ms = self._rules.pin_forget_minutes * self._rules.minute_ms
        failures = before.failures if now_ms - before.last_boot_ms < forget_ms else 0
        return replace(before, failures=failures + 1, last_boot_ms=now_ms, boot_id=boot_id)

    def _keep(self, tries: StoredTries) -> None:
        key = tries.name, tries.address
        self._tries[key] = tries
        self._tries.move_to_end(key)

    def _allowed(self, address: str) -> int:
        return self._rules.pin_tries * (1 if address else _EVERYWHERE_TIMES)

    def _rest_s(self, key: _Key) -> int:
        tries = self._tries.get(key)
        if tries is None:
            return 0
        beyond = tries.failures - self._allowed(key[1])
        lock_ms = self._rules.pin_lock_ms(self._rules.pin_tries + beyond)
        return max(0, -(-(tries.last_boot_ms + lock_ms - self._clock.now().boot_ms) // 1000))
