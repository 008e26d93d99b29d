"""The one door to an operator: every request of a client, tokens included, passes it.

It counts failures in a row and then sends nothing for a while (`breaker.py`), and it keeps the operator's
clock: a proof made with a wrong time is refused, so a refusal with a `Date` that differs from ours moves
our idea of the operator's time. Our own clock is not touched.
"""

from collections.abc import Callable, Mapping

from bayd.clients.qod import breaker
from bayd.clients.qod.answers import is_operator_failure
from bayd.clients.qod.backoff import parse_http_date
from bayd.clients.qod.errors import CircuitOpenError
from bayd.ports import HttpResponse, HttpTransport, TransportError

_FAILURES = 5
_OPEN_S = 30.0
_CLOCK_SLACK_S = 5.0  # Date has whole seconds and travels; operators allow 10 s


class Operator:
    def __init__(
        self,
        transport: HttpTransport,
        *,
        wall_clock: Callable[[], float],
        monotonic: Callable[[], float],
        circuit_max_s: float,
    ) -> None:
        self._transport = transport
        self._wall_clock = wall_clock
        self.monotonic = monotonic
        self._ahead_s = 0.0
        self._limits = breaker.BreakerLimits(_FAILURES, min(_OPEN_S, circuit_max_s), circuit_max_s)
        self._circuit: breaker.BreakerState = breaker.Closed()

    @property
    def circuit(self) -> breaker.BreakerState:
        return self._circuit

    def wall_s(self) -> float:
        """The operator's time, as far as we know it: seconds since the epoch."""
        return self._wall_clock() + self._ahead_s

    def correct_clock(self, response: HttpResponse) -> bool:
        """Take the time from an answer; True if that changed ours, so that a new proof may be accepted."""
        date_s = parse_http_date(response.headers.get("date"))
        if date_s is None or abs(date_s - self.wall_s()) <= _CLOCK_SLACK_S:
            return False
        self._ahead_s = date_s - self._wall_clock()
        return True

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> HttpResponse:
        """Raises TransportError, or CircuitOpenError before anything is sent."""
        self._circuit, wait_s = breaker.admit(self._circuit, self.monotonic())
        if wait_s is not None:
            raise CircuitOpenError("the operator failed too often just now", retry_after_s=wait_s)
        try:
            response = await self._transport.request(
                method, url, headers=headers, body=body, timeout_s=timeout_s
            )
        except TransportError:
            self._circuit = breaker.failed(self._circuit, self._limits, self.monotonic())
            raise
        except BaseException:
            self._circuit = breaker.abandoned(self._circuit, self.monotonic())
            raise
        if is_operator_failure(response.status):
            self._circuit = breaker.failed(self._circuit, self._limits, self.monotonic())
        else:
            self._circuit = breaker.succeeded(self._circuit)
        return response
