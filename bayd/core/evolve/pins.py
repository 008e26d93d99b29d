"""The PIN pad after an event."""

from dataclasses import replace
from typing import assert_never

from bayd.core import events as e
from bayd.core.model import Bay, PinAttempt, PinPad


def evolve_pins(bay: Bay, event: e.PinEvent) -> Bay:
    match event:
        case e.PinAttempted(attempt_id, request_key, at_ms, failures, locked_until_ms):
            attempt = PinAttempt(attempt_id, request_key, at_ms)
            return replace(bay, pad=PinPad(failures, at_ms, locked_until_ms, attempt))
        case e.PinAccepted(_, _, failures):
            return replace(bay, pad=PinPad(failures, bay.pad.last_try_ms) if failures else PinPad())
        case e.PadUnlocked():
            # A check that is under way goes on, with its try forgiven.
            return replace(bay, pad=PinPad(attempt=bay.pad.attempt))
        case e.PinRefused():
            return replace(bay, pad=replace(bay.pad, attempt=None))
        case e.PinCheckFailed(_, _, failures, locked_until_ms):
            pad = replace(bay.pad, attempt=None, failures=failures, locked_until_ms=locked_until_ms)
            return replace(bay, pad=pad)
        case _:
            assert_never(event)
