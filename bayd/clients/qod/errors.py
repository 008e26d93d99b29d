"""What went wrong, told by what to do next.

One class per next step, so that a caller never has to look at a status code to decide. `status`, `code` and
`x_correlator` are for the operator's support desk. Texts are redacted before they come here
(`clients/redaction.py`): an operator may echo the phone number that it refuses.
"""

from typing import Self


class QodError(Exception):
    """The call did not give what was asked for. The classes below say what to do about it."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        x_correlator: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status  # HTTP; None: no answer came, or nothing was sent
        self.code = code  # the operator's own word for it, as CONFLICT
        self.x_correlator = x_correlator
        self.retry_after_s = retry_after_s  # not before; None: the caller's own back-off

    def again(self, *, x_correlator: str | None = None) -> Self:
        """The same fault for another call that shares it, with a traceback of its own."""
        return type(self)(
            self.message,
            status=self.status,
            code=self.code,
            x_correlator=x_correlator or self.x_correlator,
            retry_after_s=self.retry_after_s,
        )

    def __str__(self) -> str:
        facts = [
            f"status {self.status}" if self.status is not None else "",
            self.code or "",
            f"again in {self.retry_after_s:.0f} s" if self.retry_after_s is not None else "",
            f"x-correlator {self.x_correlator}" if self.x_correlator else "",
        ]
        told = ", ".join(fact for fact in facts if fact)
        return f"{self.message} ({told})" if told else self.message


class RefusedError(QodError):
    """Final for this booking: the same request will be refused again."""


class InvalidInputError(RefusedError):
    """Nothing was sent: `field` has no value that may go on the wire."""

    def __init__(self, field: str, message: str, *, x_correlator: str | None = None) -> None:
        super().__init__(f"{field}: {message}", x_correlator=x_correlator)
        self.field = field

    def again(self, *, x_correlator: str | None = None) -> Self:
        return type(self)(
            self.field,
            self.message.removeprefix(f"{self.field}: "),
            x_correlator=x_correlator or self.x_correlator,
        )


class UnsupportedError(RefusedError):
    """Nothing was sent: the configured dialect has no such call."""


class NotFoundError(QodError):
    """The operator does not know the session (any more)."""


class ConflictError(QodError):
    """Another session stands in the way, or this one is in no state for it. No session id comes with it."""


class CredentialsError(QodError):
    """Client id, secret, key or scope are wrong: alarm a person. Until `retry_after_s` nothing more is
    sent.
    """


class RetryLaterError(QodError):
    """It certainly had no effect, or it may safely be repeated: try again, not before `retry_after_s`."""


class CircuitOpenError(RetryLaterError):
    """Nothing was sent: the operator failed too often just now."""


class AmbiguousError(QodError):
    """It may or may not have happened: ask (retrieve, get) before doing it again."""
