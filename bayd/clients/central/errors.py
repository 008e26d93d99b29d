"""What went wrong at the central server, by what the caller should do next.

No text in here holds a PIN, a telephone number, a name or a token: what the server says is redacted
before it gets here, and what we sent is never repeated.
"""

from .model import Cause


class CentralError(Exception):
    """A call to the central server did not do what was asked; `operation` names the call."""

    def __init__(self, operation: str, text: str) -> None:
        super().__init__(f"{operation}: {text}")
        self.operation = operation


class CentralUnavailable(CentralError):  # noqa: N818
    """No answer that counts. Try again later; read back first if the call is not idempotent and `sent`.

    `sent` False: certainly not carried out, as the request never reached the server or was turned away
    at the door for want of a valid token. `retry_after_s`: what the server asks for, if it does.
    """

    def __init__(
        self,
        operation: str,
        reason: str,
        *,
        cause: Cause,
        sent: bool,
        status: int | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(operation, reason)
        self.cause = cause
        self.sent = sent
        self.reason = reason
        self.status = status
        self.retry_after_s = retry_after_s


class CentralRefused(CentralError):  # noqa: N818
    """The server understood and said no: final for this item. 404 means the object, never the route."""

    def __init__(self, operation: str, *, status: int, message: str) -> None:
        super().__init__(operation, f"refused ({status}): {message or 'no reason given'}")
        self.status = status
        self.message = message


class CentralUnauthorised(CentralError):  # noqa: N818
    """Our credentials are missing, wrong or not enough: stop this sink and alarm a person."""

    def __init__(self, operation: str, reason: str, *, status: int) -> None:
        super().__init__(operation, reason)
        self.status = status


class CapabilityMissing(CentralError):  # noqa: N818
    """The server does not have this call: do without it, and show that once."""

    def __init__(self, operation: str, reason: str, *, status: int) -> None:
        super().__init__(operation, reason)
        self.status = status


class CentralMalformed(CentralError):  # noqa: N818
    """The answer is in the envelope, but a field that is needed is missing or wrong; `field` names it."""

    def __init__(self, operation: str, field: str) -> None:
        super().__init__(operation, f"the field {field} of the answer is missing or wrong")
        self.field = field
