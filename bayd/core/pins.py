"""The PIN pad: who may try, how often, and what a right PIN opens.

Each attempt counts before it is checked and is forgiven by success, so neither a crash nor a slow
answer gives a free guess. A check that could not tell gives the try back only where nobody looked at the PIN;
where somebody may have, the try is given back with the proof that it was right.
Whoever plays has a right PIN at will: it is no try, but forgives no guesses at the next guest's, whether it
opens nothing or lets a pause end. The PIN itself never comes here.
"""

from dataclasses import replace

from bayd.core import events as e
from bayd.core import inputs as i
from bayd.core import play
from bayd.core.decision import Refusal, Verdict
from bayd.core.instant import Instant
from bayd.core.model import Bay, Phase
from bayd.core.modes import CLOSED
from bayd.core.rules import Rules

OWN_PIN = "already_playing"  # the reason of a check that opened nothing


def tries_left(bay: Bay, rules: Rules) -> int:
    """Before the pad locks; after the first lock there is one at a time."""
    return max(0, rules.pin_tries - bay.pad.failures)


def locked_for_ms(bay: Bay, now: Instant) -> int:
    if bay.pad.locked_until_ms is None:
        return 0
    return max(0, bay.pad.locked_until_ms - now.boot_ms)


def entered(bay: Bay, request: i.PinEntered, now: Instant, rules: Rules) -> Verdict:
    refusal = _why_no_pin(bay, now, rules)
    if refusal is not None:
        return refusal
    if bay.pad.attempt is not None:
        return Refusal("check_running", "Another PIN is being checked.", retry_after_ms=2_000)
    locked_ms = locked_for_ms(bay, now)
    if locked_ms > 0:
        return Refusal("locked", "Too many wrong PINs.", retry_after_ms=locked_ms, tries_left=0)
    failures = bay.pad.failures
    forget_ms = rules.pin_forget_minutes * rules.minute_ms
    if bay.pad.last_try_ms is not None and now.boot_ms - bay.pad.last_try_ms >= forget_ms:
        failures = 0
    failures += 1
    lock_ms = rules.pin_lock_ms(failures)
    return (
        e.PinAttempted(
            attempt_id=request.attempt_id,
            request_key=request.request_key,
            at_ms=now.boot_ms,
            failures=failures,
            locked_until_ms=now.boot_ms + lock_ms if lock_ms else None,
        ),
    )


def right(bay: Bay, report: i.PinWasRight, now: Instant, rules: Rules) -> Verdict:
    if not _is_open(bay, report.attempt_id):
        return Refusal("attempt_gone", "This attempt is over.")
    if bay.phase in (Phase.HELD, Phase.OUT_OF_SERVICE):
        # Staff were quicker than the check.
        return (_opens_nothing(bay, report, f"the bay is {play.spoken(bay.phase)}"),)
    accepted = e.PinAccepted(report.attempt_id, report.session_id)
    session = bay.session
    if session is not None and session.session_id == report.session_id:
        if session.paused_at_ms is None:
            return (_opens_nothing(bay, report, OWN_PIN),)
        resumed = play.resume(bay, "pin", now)
        assert not isinstance(resumed, Refusal)
        return (replace(accepted, failures=_others(bay, report.earlier)), *resumed)
    booking = bay.find_booking(report.session_id)
    if booking is None:
        # Right at the server, and not live here: a session is never played twice.
        if report.session_id in bay.ended_ids:
            text = "The server accepts the PIN of a session that is over at this bay."
            ended = e.ConflictSeen("pin_of_ended", report.session_id, text, now.wall_ms)
            return (e.PinRefused(report.attempt_id), ended)
        text = "The server accepts the PIN of a session that is not live at this bay."
        failed = _opens_nothing(bay, report, "the session is not known here")
        return (failed, e.ConflictSeen("pin_of_unknown", report.session_id, text, now.wall_ms))
    if session is not None:
        return (accepted, e.NextSessionReady(report.session_id, report.started_by, now.boot_ms))
    return (
        accepted,
        play.start(booking, report.started_by, now.boot_ms, now, rules, by="screen", reason=""),
    )


def wrong(bay: Bay, report: i.PinWasWrong) -> Verdict:
    if not _is_open(bay, report.attempt_id):
        return Refusal("attempt_gone", "This attempt is over.")
    earlier = report.earlier if report.earlier in bay.pad.unproven else None
    return (e.PinRefused(report.attempt_id, report.wrong_bay, earlier),)


def not_checked(bay: Bay, report: i.PinNotChecked) -> Verdict:
    if not _is_open(bay, report.attempt_id):
        return Refusal("attempt_gone", "This attempt is over.")
    if report.counts:
        pad = bay.pad
        failed = e.PinCheckFailed(
            report.attempt_id, report.reason, pad.failures, pad.locked_until_ms, counted=True
        )
        return (failed,)
    return (e.PinCheckFailed(report.attempt_id, report.reason, _others(bay), None),)


def _opens_nothing(bay: Bay, report: i.PinWasRight, reason: str) -> e.PinCheckFailed:
    return e.PinCheckFailed(report.attempt_id, reason, _others(bay, report.earlier), None)


def _others(bay: Bay, earlier: str | None = None) -> int:
    """The failures without this try, and without an earlier one at the same PIN that nobody has called wrong
    and nothing has forgiven since."""
    return max(0, bay.pad.failures - 1 - (earlier in bay.pad.unproven))


def unlock(request: i.UnlockPad) -> Verdict:
    if not request.reason.strip():
        return Refusal("reason_missing", "Unlocking needs a reason.", field="reason")
    return (e.PadUnlocked(request.actor.name, request.reason),)


def _is_open(bay: Bay, attempt_id: str) -> bool:
    return bay.pad.attempt is not None and bay.pad.attempt.attempt_id == attempt_id


def _why_no_pin(bay: Bay, now: Instant, rules: Rules) -> Refusal | None:
    if bay.closed and bay.phase is not Phase.PAUSED:
        return CLOSED
    match bay.phase:
        case Phase.BOOKED | Phase.PAUSED:
            return None
        case Phase.FREE:
            return Refusal("no_booking", "No booking waits at this bay.")
        case Phase.GRACE:
            return None if bay.bookings else Refusal("no_booking", "No booking waits at this bay.")
        case Phase.PLAYING:
            assert bay.session is not None
            window_ms = rules.next_pin_minutes * rules.minute_ms
            if not bay.bookings or bay.next_session_id is not None:
                return Refusal("already_playing", "A session is running at this bay.")
            early_ms = bay.session.remaining_ms(now.boot_ms) - window_ms
            if early_ms > 0:
                return Refusal("too_early", "The present session is not over.", retry_after_ms=early_ms)
            return None
        case Phase.HELD | Phase.OUT_OF_SERVICE:
            return Refusal(bay.phase.value, f"The bay is {play.spoken(bay.phase)}.")
