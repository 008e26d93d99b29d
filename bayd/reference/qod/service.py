"""What every part of the running operator shares."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from bayd.reference.qod.courier import Courier
from bayd.reference.qod.dialects import Dialect
from bayd.reference.qod.faults import FaultBoard
from bayd.reference.qod.store import OperatorStore


@dataclass(frozen=True, slots=True)
class Service:
    dialect: Dialect
    store: OperatorStore
    courier: Courier
    faults: FaultBoard
    clock: Callable[[], float]
    faults_on: bool  # faults to order and the ledger: for callers on this machine only
    requested_delay_s: float
    retention_s: float
    min_duration_s: int
    public_url: str | None  # None: as the caller reached us

    def wire_now(self) -> float:
        """The time as the outside is told it."""
        return self.clock() + self.faults.skew_s

    def url(self, request: web.Request) -> str:
        return self.public_url or f"{request.scheme}://{request.host}"


def sole_header(request: web.Request, name: str) -> str:
    """Empty where it is missing or given twice."""
    values = request.headers.getall(name, [])
    return values[0] if len(values) == 1 else ""
