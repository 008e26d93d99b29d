"""What an operator tells of by itself, and how much of it is believed: nothing but "ask again".

Each QoS session has a token of its own that opens the webhook: the x-correlator of its create and an HMAC of
that, so that the token can be made anew after a crash and is kept nowhere. An event that shows it makes the
bay's keeper look at its session; what the event says is not read. Twice the same event, or one of a
session that is over, changes nothing. Polling goes on as if there were no events.

Source: CAMARA Quality-On-Demand 1.1.0, callbacks of createSession; CloudEvents 1.0.2, section 3.1 (`source`
and `id` together name an event).
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from bayd.clients.qod import CreateSessionWebhook
from bayd.ports import Log

# 1.0 and later say org.camaraproject.quality-on-demand.v1, 0.10.1 org.camaraproject.qod.v0, operators what
# they like.
_STATUS_CHANGED = "qos-status-changed"
_EVENTS_KEPT = 4_096
_PURPOSE = b"bayd webhook of QoS sessions"


class Heard(Enum):
    """What became of an event."""

    LOOKED_AT = "looked_at"
    DOUBLED = "doubled"
    OVER = "over"  # no bay has this session any more
    OTHER = "other"  # of another type


@dataclass(slots=True)
class SinkCounts:
    """Since the start."""

    looked_at: int = 0
    doubled: int = 0
    ignored: int = 0
    refused: int = 0


class SinkTokens:
    """Makes and knows the tokens of the webhook at `url`."""

    def __init__(self, url: str, secret: bytes) -> None:
        self._url = url
        self._key = hmac.digest(secret, _PURPOSE, hashlib.sha256)

    def webhook(self, x_correlator: str) -> CreateSessionWebhook:
        """What a create asks for."""
        token = f"{x_correlator}.{self._mark(x_correlator)}"
        return CreateSessionWebhook(notification_url=self._url, notification_auth_token=token)

    def find(self, presented: str) -> str | None:
        """The x-correlator of the create whose token this is."""
        x_correlator, _, mark = presented.rpartition(".")
        if presented.isascii() and hmac.compare_digest(mark, self._mark(x_correlator)):
            return x_correlator
        return None

    def _mark(self, x_correlator: str) -> str:
        digest = hmac.digest(self._key, x_correlator.encode("utf-8", "replace"), hashlib.sha256)
        return urlsafe_b64encode(digest).rstrip(b"=").decode()


class EventSink:
    """`poke` looks at the session of a create, by its x-correlator; False: no bay has it."""

    def __init__(self, tokens: SinkTokens, poke: Callable[[str], bool], log: Log) -> None:
        self.counts = SinkCounts()
        self._tokens = tokens
        self._poke = poke
        self._log = log
        self._seen: OrderedDict[tuple[str, str, str], None] = OrderedDict()

    def identify(self, presented: str) -> str | None:
        """The x-correlator of the create whose token this is."""
        x_correlator = self._tokens.find(presented)
        self.counts.refused += x_correlator is None
        return x_correlator

    def hear(self, x_correlator: str, source: str, event_id: str, kind: str) -> Heard:
        heard = self._hear(x_correlator, (x_correlator, source, event_id), kind)
        match heard:
            case Heard.LOOKED_AT:
                self.counts.looked_at += 1
            case Heard.DOUBLED:
                self.counts.doubled += 1
            case Heard.OVER | Heard.OTHER:
                self.counts.ignored += 1
        self._log.debug("qod_event_heard", what=heard.value)
        return heard

    def _hear(self, x_correlator: str, event: tuple[str, str, str], kind: str) -> Heard:
        if not kind.endswith(_STATUS_CHANGED):
            return Heard.OTHER
        if event in self._seen:
            return Heard.DOUBLED
        self._seen[event] = None
        if len(self._seen) > _EVENTS_KEPT:
            self._seen.popitem(last=False)
        return Heard.LOOKED_AT if self._poke(x_correlator) else Heard.OVER
