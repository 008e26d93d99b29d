"""PINs at the pad: checked at the central server, or else against the hashes that are kept here.

The attempt is in the journal before the check. One that nobody checks any more (a crash, a broken disk, a
browser that went away in the wrong moment) is looked up at the server: has the session become active?
What cannot be looked up was a try. The same press, sent again meanwhile, waits for that and gets its answer.

A PIN that somebody may have looked at is a try until it is proven right: the server, whatever came back, or a
hash that is kept here, also where another booking's is missing and nobody can say that the PIN is wrong. The
same PIN again is the same guess, until it is called wrong: after that it counts each time. A try is given
back where nobody looked, in whatever phase the bay is: such a PIN could have opened nothing. And so that a
server which is only silent locks nobody out, after a PIN that got no answer the next one goes out to a server
that has answered something since.

Nor is the server asked for a known PIN at a bay from which, or to which, somebody was moved, until it knows.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import assert_never

from bayd.clients.central import (
    Cause,
    CentralClient,
    CentralError,
    CentralRefused,
    Secret,
    VerifyAccepted,
    VerifyAnswer,
    VerifyRefused,
    VerifyUnavailable,
)
from bayd.core import inputs as i
from bayd.core.bookings import started_elsewhere
from bayd.core.model import Bay, Phase, PinAttempt, StartedBy
from bayd.journal import AnswerExistsError, JournalUnavailableError
from bayd.ports import Log, Randomness
from bayd.reconcile.counted_pins import CountedPins
from bayd.reconcile.pin_vault import PinVault
from bayd.reconcile.pulse import ServerPulse
from bayd.reconcile.session_news import SessionNews, is_over
from bayd.reconcile.telling import NOT_TAKEN
from bayd.reconcile.unsettled_pins import UnsettledPins
from bayd.runtime.bay import AnswerMaker, Outcome
from bayd.runtime.range import Range

_LOOK_UP_S = 5.0  # somebody may stand there with the right PIN: it can be typed again
_RETRY_S = 1.0
_NOT_KNOWN = "the server is away and this booking's PIN is not known here"


class PinDesk:
    """Checks what is typed at the bays. `run` settles what was left open; a root task."""

    def __init__(
        self,
        client: CentralClient,
        news: SessionNews,
        vault: PinVault,
        bays: Range,
        *,
        pulse: ServerPulse,
        look_again: Callable[[], None],
        has_untold_move: Callable[[str], Awaitable[bool]],
        answer_s: float,
        randomness: Randomness,
        log: Log,
    ) -> None:
        """`look_again`: what is booked, at once. `has_untold_move`: somebody was moved away from this bay, or
        to it, and the server does not know. `answer_s`: so long it has for all that one press asks of it."""
        self._client = client
        self._news = news
        self._vault = vault
        self._bays = bays
        self._pulse = pulse
        self._look_again = look_again
        self._has_untold_move = has_untold_move
        self._answer_s = answer_s
        key = bytes.fromhex(randomness.new_id())
        self._unsettled = UnsettledPins(key)
        self._counted = CountedPins(key)
        self._silent_since: int | None = None  # by the pulse: when a PIN got no answer
        self._randomness = randomness
        self._log = log
        self._being_checked: set[str] = set()
        self._broken_off: dict[str, tuple[str, asyncio.Future[Outcome]]] = {}  # the last press of each bay
        self._left_open = asyncio.Event()

    async def enter(
        self,
        number: str,
        pin: str,
        request_key: str | None,
        answer_refusal: AnswerMaker,
        answer: AnswerMaker,
    ) -> Outcome:
        """One try at the pad. Raises as `Range.submit`."""
        before = self._find_broken_off(number, request_key)
        if before is not None:
            return await asyncio.shield(before)
        attempt_id = self._randomness.new_id()
        self._being_checked.add(attempt_id)
        try:
            entered = await self._bays.submit(number, i.PinEntered(attempt_id, request_key), answer_refusal)
            if entered.decision.refusal is not None:
                return entered
            found = await self._check(number, Secret(pin), attempt_id)
            return await self._bays.submit(number, found, answer)
        finally:
            self._being_checked.discard(attempt_id)
            self._left_open.set()

    async def run(self, answer_of: Callable[[str, str | None], AnswerMaker | None]) -> None:
        """`answer_of` makes the answer that the interrupted request will get when it is repeated."""
        await self._bays.ready.wait()
        while True:
            self._left_open.clear()
            settled = [
                await self._settle(task.bay, attempt, answer_of)
                for task in self._bays.bays.values()
                if (attempt := task.bay.pad.attempt) is not None
                and attempt.attempt_id not in self._being_checked
            ]
            if all(settled):
                await self._left_open.wait()
            else:
                await asyncio.sleep(_RETRY_S)

    async def _settle(
        self, bay: Bay, attempt: PinAttempt, answer_of: Callable[[str, str | None], AnswerMaker | None]
    ) -> bool:
        """Close an attempt that nobody checks; an open one would keep the pad shut."""
        found = await self._look_up(bay, attempt)
        answered = self._find_broken_off(bay.number, attempt.request_key)
        try:
            outcome = await self._bays.submit(bay.number, found, answer_of(bay.number, attempt.request_key))
        except AnswerExistsError as error:
            if not await self._close_without_answer(bay.number, found):
                return False
            if answered is not None:
                answered.set_exception(error)
                answered.exception()  # perhaps nobody waits for it
        except NOT_TAKEN as error:
            self._log.warning("attempt_not_closed", bay=bay.number, reason=str(error))
            return False
        else:
            if answered is not None:
                answered.set_result(outcome)
        return True

    def _find_broken_off(self, number: str, request_key: str | None) -> asyncio.Future[Outcome] | None:
        """What the press with this key will have been answered, or was, once `run` has settled it. A new try
        under its key would count twice."""
        attempt = self._bays.get(number).pad.attempt
        key, answered = self._broken_off.get(number, (None, None))
        if request_key is None:
            return None
        if key == request_key:
            return answered
        if attempt is None or attempt.request_key != request_key or attempt.attempt_id in self._being_checked:
            return None
        answered = asyncio.get_running_loop().create_future()
        self._broken_off[number] = (request_key, answered)
        return answered

    async def _close_without_answer(self, number: str, found: i.Input) -> bool:
        try:
            await self._bays.submit(number, found)
        except NOT_TAKEN as error:
            self._log.warning("attempt_not_closed", bay=number, reason=str(error))
            return False
        return True

    async def _check(self, number: str, pin: Secret, attempt_id: str) -> i.Input:
        answer_by = asyncio.get_running_loop().time() + self._answer_s
        compared = False
        if await self._comes_first(number, answer_by):
            compared = self._vault.knows_any(self._bays.get(number))
            waits = self._vault.find_session(self._bays.get(number), pin)
            if waits is not None:
                return self._proved(number, pin, i.PinWasRight(attempt_id, waits, StartedBy.PIN_OFFLINE))
        verdict = await self._verify(number, pin, answer_by)
        match verdict:
            case VerifyAccepted(session_id):
                found = await self._accepted(number, pin, attempt_id, session_id, answer_by)
            case VerifyRefused():
                found = await self._refused(number, pin, attempt_id, answer_by)
            case VerifyUnavailable(reason, sent=sent, seen=seen):
                self._log.info("pin_checked_offline", bay=number, reason=reason)
                found = self._check_offline(number, pin, attempt_id)
                bay = self._bays.get(number)
                if isinstance(found, i.PinNotChecked):
                    found = replace(found, counts=found.counts or compared or seen)
                    if sent and bay.phase is not Phase.PAUSED:
                        self._unsettled.remember(bay, pin)
            case _:
                assert_never(verdict)
        match found:
            case i.PinWasRight():
                return self._proved(number, pin, found)
            case i.PinWasWrong():
                bay = self._bays.get(number)
                was_counted = self._counted.is_counted(bay, pin)
                earlier = self._counted.settle(bay, pin)
                return replace(found, earlier=earlier if was_counted else None)
            case i.PinNotChecked(counts=True):
                bay = self._bays.get(number)
                if self._counted.is_counted(bay, pin):
                    return replace(found, counts=False)
                self._counted.remember(bay, pin, attempt_id)
        return found

    def _proved(self, number: str, pin: Secret, right: i.PinWasRight) -> i.PinWasRight:
        bay = self._bays.get(number)
        self._unsettled.settle(bay, pin)
        return replace(right, earlier=self._counted.settle(bay, pin))

    async def _comes_first(self, number: str, answer_by: float) -> bool:
        """The hash, before the server is asked: at a bay that for the server somebody has to leave first, or
        has to come to. The call for a move names bays, so once the next one plays there it cannot be told.
        The start is told after it. Whatever was typed, so that the time it takes tells nothing of the PIN."""
        try:
            async with asyncio.timeout_at(answer_by):
                return await self._has_untold_move(number)
        except (JournalUnavailableError, TimeoutError):
            return True  # nobody can tell: of a known booking the hash decides as well

    async def _verify(self, number: str, pin: Secret, answer_by: float) -> VerifyAnswer:
        if self._silent_since == self._pulse.beats and not await self._answers():
            return VerifyUnavailable("it is silent", Cause.NOT_REACHED, sent=False, seen=False)
        left_s = answer_by - asyncio.get_running_loop().time()
        verdict = await self._client.verify(number, pin, within_s=left_s)
        if isinstance(verdict, VerifyUnavailable) and verdict.seen:
            self._silent_since = self._pulse.beats
        return verdict

    async def _answers(self) -> bool:
        """In half of the time; the other half is for the PIN."""
        try:
            async with asyncio.timeout(self._answer_s / 2):
                await self._client.list_sessions(1, 1)
        except (CentralError, TimeoutError):
            return False
        return True

    async def _accepted(
        self, number: str, pin: Secret, attempt_id: str, server_id: int | None, answer_by: float
    ) -> i.Input:
        bay = self._bays.get(number)
        try:
            async with asyncio.timeout_at(answer_by):
                if server_id is None:
                    found = self._vault.find_session(bay, pin) or await self._find_active(bay)
                else:
                    found = await self._news.learn(number, str(server_id)) or str(server_id)
        except (CentralError, TimeoutError) as error:
            # It can be typed again: by then the poller may have read it.
            self._log.warning("session_not_read", bay=number, reason=str(error) or "no answer in time")
            self._unsettled.confirm(bay, pin, None if server_id is None else str(server_id))
            self._look_again()
            text = "the server accepts it, and does not show its session"
            return i.PinNotChecked(attempt_id, text, counts=server_id is None)
        if found is None:  # a yes to nothing: whether it says so to every PIN, nobody knows
            return i.PinNotChecked(attempt_id, "the server accepts it, and names no session", counts=True)
        return i.PinWasRight(attempt_id, found, StartedBy.PIN_ONLINE)

    async def _refused(self, number: str, pin: Secret, attempt_id: str, answer_by: float) -> i.Input:
        """A server that takes a PIN once says no to the right one as well, once its session runs there.

        Whose PIN it is, its hash tells, or the page of the session; where the server shows no PIN there, that
        it was sent before.
        """
        bay = self._bays.get(number)
        paused = (bay.session.session_id,) if bay.session is not None and bay.phase is Phase.PAUSED else ()
        by_hash = self._vault.find_session(bay, pin)
        sent = self._unsettled.find(bay, pin)
        if by_hash is not None:
            suspects: tuple[str, ...] = (by_hash,)
        else:
            suspects = tuple(started_elsewhere(bay)) if sent is None else sent.sessions
            suspects += paused
        try:
            async with asyncio.timeout_at(answer_by):
                running = await self._running(number, suspects)
        except (CentralError, TimeoutError) as error:
            self._log.warning("session_not_read", bay=number, reason=str(error) or "no answer in time")
            text = "the server refuses it, and does not show its session"
            return i.PinNotChecked(attempt_id, text, counts=by_hash is None)
        shown = [session_id for session_id, its_pin in running.items() if its_pin == pin]
        if by_hash in running or shown:
            return i.PinWasRight(attempt_id, by_hash or shown[0], StartedBy.PIN_ONLINE)
        hidden = [one for one, its_pin in running.items() if its_pin is None and one not in paused]
        if not hidden:
            self._unsettled.settle(bay, pin)
            return i.PinWasWrong(attempt_id, wrong_bay=self._opens_elsewhere(number, pin))
        if len(hidden) > 1 or sent is None or not (sent.confirmed or self._unsettled.is_alone(bay)):
            text = "the server refuses it, and another PIN may have started the session that runs there"
            return i.PinNotChecked(attempt_id, text, counts=True)
        return i.PinWasRight(attempt_id, hidden[0], StartedBy.PIN_ONLINE)

    async def _running(self, number: str, suspects: tuple[str, ...]) -> dict[str, Secret | None]:
        """Those that the server counts as running at this bay, by our ids, with the PIN that it shows; of one
        that is paused here its own timer may have come to an end. Raises CentralError."""
        running: dict[str, Secret | None] = {}
        for session_id in suspects:
            try:
                page = await self._news.find_page(number, session_id)
            except CentralRefused:
                continue
            session = self._bays.get(number).session
            plays = session is not None and session.session_id == session_id
            if page is None or is_over(page) or not (page.active or plays):
                continue
            if not plays and self._bays.get(number).find_booking(session_id) is None:
                await self._news.learn(number, session_id)
            if plays or self._bays.get(number).find_booking(session_id) is not None:
                running[session_id] = page.pin
        return running

    async def _find_active(self, bay: Bay) -> str | None:
        """The session that has become active: one that was before proves nothing. Raises CentralError."""
        flagged = started_elsewhere(bay)
        for booking in bay.bookings:
            if booking.session_id in flagged:
                continue
            page = await self._news.find_page(bay.number, booking.session_id)
            if page is not None and page.active:
                return booking.session_id
        return None

    def _check_offline(self, number: str, pin: Secret, attempt_id: str) -> i.Input:
        bay = self._bays.get(number)
        if not self._vault.offline_possible:
            return i.PinNotChecked(attempt_id, "the server is away and no site key is set")
        if bay.phase is Phase.PAUSED:
            # The hash of a session that has started is gone, so the PIN of the one that plays could not be
            # told from a guess at the next booking's.
            return i.PinNotChecked(attempt_id, "the server is away: staff resume the session")
        if not self._vault.knows_any(bay):
            return i.PinNotChecked(attempt_id, _NOT_KNOWN)
        found = self._vault.find_session(bay, pin)
        if found is not None:
            return i.PinWasRight(attempt_id, found, StartedBy.PIN_OFFLINE)
        if not self._vault.knows_all(bay):
            return i.PinNotChecked(attempt_id, _NOT_KNOWN, counts=True)
        return i.PinWasWrong(attempt_id, wrong_bay=self._opens_elsewhere(number, pin))

    def _opens_elsewhere(self, number: str, pin: Secret) -> bool:
        others = [task.bay for task in self._bays.bays.values() if task.bay.number != number]
        opened = [self._vault.find_session(bay, pin) is not None for bay in others]
        return any(opened)

    async def _look_up(self, bay: Bay, attempt: PinAttempt) -> i.Input:
        """Did the check that broke off succeed? Only the server knows; else it was a try."""
        found = None
        try:
            if not self._unsettled.has_any(bay):
                async with asyncio.timeout(_LOOK_UP_S):
                    found = await self._find_active(bay)
        except (CentralError, TimeoutError) as error:
            self._log.warning("attempt_not_looked_up", bay=bay.number, reason=str(error))
        if found is None:
            return i.PinWasWrong(attempt.attempt_id)
        return i.PinWasRight(attempt.attempt_id, found, StartedBy.PIN_ONLINE)
