"""The PIN pad after an event."""

from dataclasses import replace
from typing import assert_never

from bayd.core import events as e
from bayd.core.model import Bay, PinAttempt, PinPad

_UNPROVEN = 8  # remembered, the newest


def evolve_pins(bay: Bay, event: e.PinEvent) -> Bay:
    match event:
        case e.PinAttempted(attempt_id, request_key, at_ms, failures, locked_until_ms):
            attempt = PinAttempt(attempt_id, request_key, at_ms)
            unproven = bay.pad.unproven if failures > 1 else ()
            return replace(bay, pad=PinPad(failures, at_ms, locked_until_ms, attempt, unproven))
        case e.PinAccepted(_, _, failures):
            return replace(bay, pad=PinPad(failures, bay.pad.last_try_ms) if failures else PinPad())
        case e.PadUnlocked():
            # A check that is under way goes on, with its try forgiven.
            return replace(bay, pad=PinPad(attempt=bay.pad.attempt))
        case e.PinRefused(earlier=None):
            return replace(bay, pad=replace(bay.pad, attempt=None))
        case e.PinRefused(earlier=earlier):
            # The lock that the earlier one brought is over: else nothing could have been tried.
            unproven = tuple(one for one in bay.pad.unproven if one != earlier)
            failures = max(0, bay.pad.failures - 1)
            return replace(bay, pad=PinPad(failures, bay.pad.last_try_ms, unproven=unproven))
        case e.PinCheckFailed(attempt_id, _, failures, locked_until_ms, counted):
            unproven = (*bay.pad.unproven, attempt_id)[-_UNPROVEN:] if counted else bay.pad.unproven
            return replace(bay, pad=PinPad(failures, bay.pad.last_try_ms, locked_until_ms, unproven=unproven))
        case _:
            assert_never(event)
