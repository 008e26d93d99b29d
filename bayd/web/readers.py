"""`/api/v1/devices…`: what a technician asks of devices that the daemon holds, beside play."""

import asyncio
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from http import HTTPStatus
from typing import Any, Protocol

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bayd.core.audit import AuditNote, Fact
from bayd.core.inputs import Role
from bayd.ports import Log
from bayd.web.access import Caller
from bayd.web.answers import answer
from bayd.web.audit_book import Record
from bayd.web.bodies import read_body
from bayd.web.device_documents import HeldDevicesDocument, PowerDocument, ReaderIdentityDocument
from bayd.web.problems import Problem, ProblemError
from bayd.web.routes import Answer, Parameter, Route

_WATCHERS_LIMIT = 8
_BUFFER = 256  # messages; a terminal that stops reading loses the oldest
_HEARTBEAT_S = 15.0
_STALL_S = 30.0
_HIGHEST_PORT = 16
_PORTS_PATTERN = "^[0-9]{1,2}(,[0-9]{1,2}){0,15}$"
_DEVICES = frozenset({Role.STAFF, Role.TECHNICIAN})
_STATUS = {
    "unknown_reader": HTTPStatus.NOT_FOUND,
    "unknown_port": HTTPStatus.UNPROCESSABLE_ENTITY,
    "too_much_power": HTTPStatus.UNPROCESSABLE_ENTITY,
    "in_play": HTTPStatus.CONFLICT,
    "reader_away": HTTPStatus.SERVICE_UNAVAILABLE,
}
_NOT_FOUND = {HTTPStatus.NOT_FOUND: "There is no such reader"}
_AWAY = {HTTPStatus.SERVICE_UNAVAILABLE: "The reader cannot be asked now"}
_INVALID = {HTTPStatus.UNPROCESSABLE_ENTITY: "`field` is wrong"}

Tell = Callable[[str, dict[str, Any]], None]


class ToolRefusedError(Exception):
    """A device cannot do now what was asked; the text says what to do."""

    def __init__(self, code: str, text: str, field: str | None = None) -> None:
        super().__init__(text)
        self.problem = Problem(_STATUS[code], code, text, field)


class ReaderTools(Protocol):
    """All raise ToolRefusedError. `ports` empty: all that the configuration names."""

    def held(self) -> Sequence[Mapping[str, Any]]:
        """As `HeldDevice`."""
        ...

    async def identify(self, name: str) -> Mapping[str, Any]:
        """As `ReaderIdentityDocument`."""
        ...

    async def powers(self, name: str) -> list[int]: ...

    def check_power(self, name: str, power_dbm: int, ports: Collection[int]) -> None:
        """Whether it may be tried now."""
        ...

    async def set_power(
        self, name: str, power_dbm: int, ports: Collection[int]
    ) -> tuple[list[int], list[int], list[str]]:
        """Powers before and after, and what the reader refused."""
        ...

    def watched(
        self, name: str, ports: Collection[int], tell: Tell
    ) -> AbstractContextManager[frozenset[int]]:
        """`tell` gets the name of an event and its data, in the loop."""
        ...


class PowerBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    power_dbm: int = Field(ge=0, le=33)
    ports: list[int] = Field([], max_length=_HIGHEST_PORT, description="Empty: all that are configured.")


class ReaderPages:
    """`held`: what else the daemon holds, besides readers."""

    def __init__(
        self,
        tools: ReaderTools,
        record: Record,
        log: Log,
        *,
        held: Callable[[], Sequence[Mapping[str, Any]]] = tuple,
    ) -> None:
        self._tools = tools
        self._record = record
        self._held = held
        self._log = log
        self._closing = asyncio.Event()
        self._watchers = 0

    def routes(self) -> list[Route]:
        reader = "/api/v1/devices/readers/{reader}"
        return [
            Route(
                "GET",
                "/api/v1/devices",
                self.devices,
                "Which ports the daemon holds, and what is at them",
                {HTTPStatus.OK: Answer("The devices", HeldDevicesDocument)},
                roles=_DEVICES,
                tag="devices",
            ),
            Route(
                "GET",
                f"{reader}/identify",
                self.identify,
                "Ask a reader what it is, between its rounds",
                {HTTPStatus.OK: Answer("What it says", ReaderIdentityDocument)},
                roles=_DEVICES,
                refusals=_NOT_FOUND | _AWAY,
                tag="devices",
            ),
            Route(
                "GET",
                f"{reader}/power",
                self.power,
                "Ask a reader for its powers",
                {HTTPStatus.OK: Answer("The powers", PowerDocument)},
                roles=_DEVICES,
                refusals=_NOT_FOUND | _AWAY,
                tag="devices",
            ),
            Route(
                "PUT",
                f"{reader}/power",
                self.set_power,
                "Try a power until the daemon starts again or reloads",
                {HTTPStatus.OK: Answer("The powers before and after", PowerDocument)},
                roles=_DEVICES,
                body=PowerBody,
                refusals={
                    **_NOT_FOUND,
                    **_AWAY,
                    **_INVALID,
                    HTTPStatus.CONFLICT: "A bay plays at one of the ports",
                    HTTPStatus.REQUEST_TIMEOUT: "The body does not come",
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large",
                    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is not JSON",
                },
                tag="devices",
            ),
            Route(
                "GET",
                f"{reader}/watch",
                self.watch,
                "What a reader hears, as it hears it",
                {
                    HTTPStatus.OK: Answer(
                        "Server-sent events: `listening` (data: {ports}), then `reads` (data: {reads: [{port,"
                        " epc, rssi_dbm, rssi_raw}]}) and `note` (data: {text}). Who reads too slowly loses"
                        " the oldest.",
                        media_types=("text/event-stream",),
                    )
                },
                roles=_DEVICES,
                refusals=_NOT_FOUND | _INVALID | _AWAY,
                parameters=(
                    Parameter("ports", "query", "Numbers with commas; without it all.", _PORTS_PATTERN),
                ),
                tag="devices",
                is_stream=True,
            ),
        ]

    def close(self) -> None:
        """Every stream ends."""
        self._closing.set()

    async def devices(self, _request: web.Request, _caller: Caller) -> web.StreamResponse:
        devices = [*self._tools.held(), *self._held()]
        return answer(HeldDevicesDocument.model_validate({"devices": devices}))

    async def identify(self, request: web.Request, _caller: Caller) -> web.StreamResponse:
        try:
            found = await self._tools.identify(request.match_info["reader"])
        except ToolRefusedError as error:
            raise ProblemError(error.problem) from None
        return answer(ReaderIdentityDocument.model_validate(found))

    async def power(self, request: web.Request, _caller: Caller) -> web.StreamResponse:
        try:
            dbm = await self._tools.powers(request.match_info["reader"])
        except ToolRefusedError as error:
            raise ProblemError(error.problem) from None
        return answer(PowerDocument(before_dbm=dbm, power_dbm=dbm, refused=[]))

    async def set_power(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        body = await read_body(request, PowerBody)
        reader, who = request.match_info["reader"], caller.known
        try:
            self._tools.check_power(reader, body.power_dbm, body.ports)
            ports = ", ".join(map(str, body.ports))
            asked: dict[str, Fact] = {"reader": reader, "ports": ports, "power_dbm": body.power_dbm}
            await self._record(AuditNote(who.name, who.role.value, "ReaderPowerTried", asked, "", {}, {}), "")
            before, after, refused = await self._tools.set_power(reader, body.power_dbm, body.ports)
        except ToolRefusedError as error:
            raise ProblemError(error.problem) from None
        return answer(PowerDocument(before_dbm=before, power_dbm=after, refused=refused))

    async def watch(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        ports = _ports_of(request)
        if self._closing.is_set() or self._watchers >= _WATCHERS_LIMIT:
            text = "Too many watch already, or the daemon is stopping: come again."
            problem = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "too_many_watch", text, retry_after_s=5)
            raise ProblemError(problem)
        messages: asyncio.Queue[bytes] = asyncio.Queue(_BUFFER)

        def tell(name: str, data: dict[str, Any]) -> None:
            if messages.full():
                messages.get_nowait()
            messages.put_nowait(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode())

        self._watchers += 1
        try:
            with self._tools.watched(request.match_info["reader"], ports, tell) as heard:
                tell("listening", {"ports": sorted(heard)})
                return await self._stream(request, messages)
        except ToolRefusedError as error:
            raise ProblemError(error.problem) from None
        finally:
            self._watchers -= 1
            self._log.debug("reader_watch_ended", caller=caller.kind)

    async def _stream(self, request: web.Request, messages: asyncio.Queue[bytes]) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        try:
            while (message := await self._next(messages)) is not None:
                async with asyncio.timeout(_STALL_S):
                    await response.write(message)
        except (ConnectionError, TimeoutError):
            pass  # nobody reads any more
        return response

    async def _next(self, messages: asyncio.Queue[bytes]) -> bytes | None:
        """None: the daemon stops."""
        async with asyncio.TaskGroup() as tasks:
            message = tasks.create_task(messages.get(), name="reader-watch-message")
            closing = tasks.create_task(self._closing.wait(), name="reader-watch-close")
            await asyncio.wait((message, closing), timeout=_HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED)
            closing.cancel()
            if not message.done():
                message.cancel()
        if not message.cancelled():
            return message.result()
        return None if self._closing.is_set() else b": alive\n\n"


def _ports_of(request: web.Request) -> frozenset[int]:
    """Raises ProblemError."""
    for name in request.query:
        if name != "ports":
            problem = Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", "The only parameter is `ports`.", name
            )
            raise ProblemError(problem)
    given = request.query.getall("ports", [])
    if not given:
        return frozenset()
    if len(given) > 1 or not re.fullmatch(_PORTS_PATTERN, given[0], re.ASCII):
        text = "Numbers of antenna ports with commas between them."
        raise ProblemError(Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", text, "ports"))
    return frozenset(int(port) for port in given[0].split(","))
