"""When to try again: full jitter, and what the server said about it. Pure."""

import math
from datetime import UTC
from email.utils import parsedate_to_datetime

_FIRST_S = 0.5
_LONGEST_S = 30.0
_RETRY_AFTER_MAX_S = 24 * 3600.0  # a header that says more is a fault, not a wish


def full_jitter_s(attempt: int, jitter: float) -> float:
    """The pause after failed attempt `attempt` (0, 1, …): anywhere in a window of 0.5 s that doubles up to
    30 s.

    `jitter` is in [0, 1). Spread over the whole window, a hundred bays do not come back at the same moment.
    """
    return jitter * min(_LONGEST_S, _FIRST_S * 2.0 ** min(attempt, 16))


def parse_http_date(text: str | None) -> float | None:
    """Seconds since the epoch of an HTTP date (RFC 9110, 5.6.7), or None."""
    if text is None:
        return None
    try:
        moment = parsedate_to_datetime(text)
        # HTTP dates are GMT; one that does not say so must not be read in this machine's own zone.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def parse_retry_after_s(text: str | None, now_s: float) -> float | None:
    """`Retry-After` as seconds from now (RFC 9110, 10.2.3: a number or a date), or None."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return min(float(text), _RETRY_AFTER_MAX_S)
    date_s = parse_http_date(text)
    if date_s is None or not math.isfinite(date_s):
        return None
    return min(max(date_s - now_s, 0.0), _RETRY_AFTER_MAX_S)
