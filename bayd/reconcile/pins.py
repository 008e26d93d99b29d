"""PINs at the pad: checked at the central server, or else against the hashes that are kept here.

The attempt is in the journal before the check; a check that a crash interrupts is looked up afterwards.
"""

import asyncio
from collections.abc import Callable

from bayd.clients.central import (
    CentralClient,
    CentralError,
    VerifyAccepted,
    VerifyRefused,
    VerifyUnavailable,
)
from bayd.clients.central.secret import Secret
from bayd.core import inputs as i
from bayd.core.model import Bay, PinAttempt, StartedBy
from bayd.ports import Log, Randomness
from bayd.reconcile.bookings import BookingPoller
from bayd.reconcile.pin_vault import PinVault
from bayd.runtime.bay import AnswerMaker, Outcome
from bayd.runtime.range import Range


class PinDesk:
    """Checks what is typed at the bays. `run` settles what a crash left open; a root task."""

    def __init__(
        self,
        client: CentralClient,
        poller: BookingPoller,
        vault: PinVault,
        bays: Range,
        *,
        randomness: Randomness,
        log: Log,
    ) -> None:
        self._client = client
        self._poller = poller
        self._vault = vault
        self._bays = bays
        self._randomness = randomness
        self._log = log

    async def enter(
        self,
        number: str,
        pin: str,
        request_key: str | None,
        answer_refusal: AnswerMaker,
        answer: AnswerMaker,
    ) -> Outcome:
        """One try at the pad. Raises as `Range.submit`."""
        attempt_id = self._randomness.new_id()
        entered = await self._bays.submit(number, i.PinEntered(attempt_id, request_key), answer_refusal)
        if entered.decision.refusal is not None:
            return entered
        found: i.Input = i.PinNotChecked(attempt_id, "the check broke off")
        try:
            found = await self._check(number, Secret(pin), attempt_id)
        finally:
            # Whatever happened, the attempt is closed: an open one would keep the pad shut.
            outcome = await self._bays.submit(number, found, answer)
        return outcome

    async def run(self, answer_of: Callable[[str, str | None], AnswerMaker | None]) -> None:
        """`answer_of` makes the answer that the interrupted request will get when it is repeated."""
        await self._bays.ready.wait()
        for number, task in self._bays.bays.items():
            attempt = task.bay.pad.attempt
            if attempt is not None:
                found = await self._look_up(task.bay, attempt)
                await self._bays.submit(number, found, answer_of(number, attempt.request_key))
        await asyncio.Event().wait()

    async def _check(self, number: str, pin: Secret, attempt_id: str) -> i.Input:
        verdict = await self._client.verify(number, pin)
        match verdict:
            case VerifyAccepted(session_id):
                found = (
                    str(session_id)
                    if session_id is not None
                    else self._vault.find_session(self._bays.get(number), pin)
                )
                if found is None:
                    return i.PinNotChecked(attempt_id, "the server accepts it but names no session")
                return await self._accepted(attempt_id, found)
            case VerifyRefused():
                return i.PinWasWrong(attempt_id)
            case VerifyUnavailable(reason):
                self._log.info("pin_checked_offline", bay=number, reason=reason)
                return self._check_offline(number, pin, attempt_id)

    async def _accepted(self, attempt_id: str, session_id: str) -> i.Input:
        try:
            await self._poller.learn(session_id)
        except CentralError as error:
            self._log.warning("session_not_read", session=session_id, reason=str(error))
        return i.PinWasRight(attempt_id, session_id, StartedBy.PIN_ONLINE)

    def _check_offline(self, number: str, pin: Secret, attempt_id: str) -> i.Input:
        bay = self._bays.get(number)
        found = self._vault.find_session(bay, pin)
        if found is not None:
            return i.PinWasRight(attempt_id, found, StartedBy.PIN_OFFLINE)
        if not self._vault.offline_possible:
            return i.PinNotChecked(attempt_id, "the server is away and no site key is set")
        if not self._vault.knows_all(bay):
            return i.PinNotChecked(attempt_id, "the server is away and this booking's PIN is not known here")
        return i.PinWasWrong(attempt_id)

    async def _look_up(self, bay: Bay, attempt: PinAttempt) -> i.Input:
        """Did the check that the crash interrupted succeed? Only the server knows; else it was a try."""
        for booking in bay.bookings:
            try:
                if await self._poller.is_active(booking.session_id):
                    return i.PinWasRight(attempt.attempt_id, booking.session_id, StartedBy.PIN_ONLINE)
            except CentralError as error:
                self._log.warning("attempt_not_looked_up", bay=bay.number, reason=str(error))
        return i.PinWasWrong(attempt.attempt_id)
