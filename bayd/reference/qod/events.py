"""Events to the sinks of `camara-1.1`: CloudEvents over HTTP, at least once, from the operator's own file.

204 is thanks, 410 ends the deliveries of that session, anything else is tried again a few times.
"""

import uuid
from dataclasses import dataclass, field
from typing import Any

from bayd.reference.qod.sessions import Cause, Status, rfc3339

CONTENT_TYPE = "application/cloudevents+json"
EVENT_TYPE = "org.camaraproject.quality-on-demand.v1.qos-status-changed"
MAX_ATTEMPTS = 4
RETRY_S = 2.0  # doubled with each attempt
TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class PendingEvent:
    seq: int
    session_id: str
    url: str = field(repr=False)
    token: str | None = field(repr=False)
    token_expires_at: float | None
    body: bytes
    copies: int
    attempts: int

    def may_be_sent(self, now: float) -> bool:
        """False: the token that opens its sink is over."""
        return self.token_expires_at is None or now < self.token_expires_at

    def retry_at(self, now: float) -> float:
        delay_s: float = RETRY_S * 2**self.attempts
        return now + delay_s


def status_changed(session_id: str, status: Status, cause: Cause | None, at: float) -> dict[str, Any]:
    """`EventQosStatusChanged` (camara 1.1.0)."""
    data = {"sessionId": session_id, "qosStatus": status.value}
    if cause is not None:
        data["statusInfo"] = cause.value
    return {
        "id": str(uuid.uuid4()),
        "source": f"/quality-on-demand/v1/sessions/{session_id}",
        "specversion": "1.0",
        "type": EVENT_TYPE,
        "datacontenttype": "application/json",
        "time": rfc3339(at),
        "data": data,
    }
