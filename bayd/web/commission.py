"""`/api/v1/bays/{bay}/commission`: how a bay was taken into service, signed by who is logged in."""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any, Literal, Protocol

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from bayd.core.audit import AuditNote, Fact
from bayd.core.inputs import Role
from bayd.ports import Clock, Log
from bayd.web.access import Caller
from bayd.web.answers import answer
from bayd.web.audit_book import Record
from bayd.web.bodies import read_body
from bayd.web.problems import Problem, ProblemError
from bayd.web.routes import Answer, Route
from bayd.web.views import rfc3339

_DEVICES = frozenset({Role.STAFF, Role.TECHNICIAN})
_ID = re.compile("[0-9a-f-]{8,64}", re.ASCII)
_PATH = "/api/v1/bays/{bay}/commission"

Outcome = Literal["pass", "fail", "skipped"]


class StepBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, StringConstraints(pattern="^[a-z]{1,20}$")]
    outcome: Outcome
    text: Annotated[str, StringConstraints(min_length=1, max_length=300)]


class CommissionBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    steps: list[StepBody] = Field(min_length=1, max_length=20)


class CommissionDocument(BaseModel):
    """One report."""

    model_config = ConfigDict(extra="forbid")

    id: str
    bay: str
    by: str = Field(description="Who is logged in.")
    at: str = Field(json_schema_extra={"format": "date-time"})
    version: str = Field(description="Of bayd.")
    configuration: str = Field(description="SHA-256 of the configuration in force.")
    passed: bool = Field(description="No step failed, and at least one passed.")
    steps: list[StepBody]
    changes: list[str] = Field(description="What is other than in the report before.")


class CommissionReports(BaseModel):
    reports: list[CommissionDocument] = Field(description="Oldest first.")


class Book(Protocol):
    """See `bayd.web.commission_book`. Blocking."""

    def find_all(self, bay: str) -> list[dict[str, Any]]: ...
    def save(self, report: Mapping[str, Any]) -> str: ...


class CommissionPages:
    """`configuration` gives the digest of the one in force; `compare` what changed between two reports."""

    def __init__(
        self,
        book: Book,
        bays: Callable[[], Sequence[str]],
        compare: Callable[[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]], list[str]],
        *,
        version: str,
        configuration: Callable[[], str],
        record: Record,
        clock: Clock,
        log: Log,
    ) -> None:
        self._book = book
        self._record = record
        self._bays = bays
        self._compare = compare
        self._version = version
        self._configuration = configuration
        self._clock = clock
        self._log = log

    def routes(self) -> list[Route]:
        not_found = {HTTPStatus.NOT_FOUND: "There is no such bay"}
        return [
            Route(
                "GET",
                _PATH,
                self.show,
                "Reports of taking this bay into service",
                {HTTPStatus.OK: Answer("The reports", CommissionReports)},
                roles=_DEVICES,
                refusals=not_found,
                tag="devices",
            ),
            Route(
                "PUT",
                f"{_PATH}/{{report}}",
                self.sign,
                "Sign a report off; the same identifier again changes nothing",
                {HTTPStatus.OK: Answer("The report as it is kept", CommissionDocument)},
                roles=_DEVICES,
                body=CommissionBody,
                refusals={
                    **not_found,
                    HTTPStatus.UNPROCESSABLE_ENTITY: "`field` is wrong",
                    HTTPStatus.REQUEST_TIMEOUT: "The body does not come",
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large",
                    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is not JSON",
                    HTTPStatus.SERVICE_UNAVAILABLE: "The report cannot be written",
                },
                tag="devices",
            ),
        ]

    async def show(self, request: web.Request, _caller: Caller) -> web.StreamResponse:
        reports = await asyncio.to_thread(self._book.find_all, self._bay(request))
        return answer(CommissionReports.model_validate({"reports": reports}))

    async def sign(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        bay, identity = self._bay(request), request.match_info["report"]
        if not _ID.fullmatch(identity):
            text = "An identifier of 8 to 64 hexadecimal digits and hyphens."
            raise ProblemError(Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", text, "report"))
        body = await read_body(request, CommissionBody)
        before = await asyncio.to_thread(self._book.find_all, bay)
        for kept in before:
            if kept["id"] == identity:
                return answer(CommissionDocument.model_validate(kept))
        steps = [step.model_dump() for step in body.steps]
        outcomes = {step.outcome for step in body.steps}
        report = CommissionDocument(
            id=identity,
            bay=bay,
            by=caller.known.name,
            at=rfc3339(self._clock.now().wall_ms),
            version=self._version,
            configuration=self._configuration(),
            passed="fail" not in outcomes and "pass" in outcomes,
            steps=body.steps,
            changes=self._compare(steps, before[-1]["steps"] if before else []),
        )
        who = caller.known
        asked: dict[str, Fact] = {"report": identity, "passed": report.passed}
        await self._record(AuditNote(who.name, who.role.value, "BayCommissioned", asked, "", {}, {}), bay)
        try:
            file = await asyncio.to_thread(self._book.save, report.model_dump())
        except OSError as error:
            text = f"The report cannot be written: {error.strerror}."
            raise ProblemError(Problem(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", text)) from None
        self._log.info("bay_commissioned", bay=bay, passed=report.passed, file=file)
        return answer(report)

    def _bay(self, request: web.Request) -> str:
        """Raises ProblemError."""
        number = request.match_info["bay"]
        if number not in self._bays():
            raise ProblemError(Problem(HTTPStatus.NOT_FOUND, "unknown_bay", "There is no such bay here."))
        return number
