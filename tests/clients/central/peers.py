"""What the client is given in these tests: a transport that plays a script, a log that remembers."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bayd.clients.central import CentralClient, Secret
from bayd.ports import HttpResponse, TransportError
from tests.let_out import hear, keep_secret

PIN = "246813"
PHONE = "1555010001"
NAME = "Test Person"
TOKEN = "token-0123456789abcdef"
SECRETS = (PIN, PHONE, NAME, TOKEN)


@dataclass(frozen=True)
class Sent:
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    timeout_s: float

    @property
    def json(self) -> Any:
        assert self.body is not None
        return json.loads(self.body)


Answer = HttpResponse | TransportError
Script = Callable[[Sent], Answer]


class ScriptedTransport:
    """Each request is remembered and answered by the script, after `delay_s` if it waits so long."""

    def __init__(self, script: Script | Answer, delay_s: float = 0) -> None:
        self._script = script
        self._delay_s = delay_s
        self.sent: list[Sent] = []

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout_s: float,
    ) -> HttpResponse:
        sent = Sent(method, url, dict(headers or {}), body, timeout_s)
        self.sent.append(sent)
        if self._delay_s:
            await asyncio.sleep(min(self._delay_s, timeout_s))
        if self._delay_s > timeout_s:
            raise TransportError("no answer", sent=True)
        answer = self._script(sent) if callable(self._script) else self._script
        if isinstance(answer, TransportError):
            raise answer
        return answer


@dataclass
class RecordingLog:
    lines: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def debug(self, event: str, **facts: Any) -> None:
        self._keep("debug", event, facts)

    def info(self, event: str, **facts: Any) -> None:
        self._keep("info", event, facts)

    def warning(self, event: str, **facts: Any) -> None:
        self._keep("warning", event, facts)

    def error(self, event: str, **facts: Any) -> None:
        self._keep("error", event, facts)

    def _keep(self, level: str, event: str, facts: dict[str, Any]) -> None:
        self.lines.append((level, event, facts))
        hear("log", f"{event} {facts!r}\n")


def answer(document: object, status: int = 200, **headers: str) -> HttpResponse:
    """A JSON answer; bytes are taken as they are."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, {"content-type": "application/json", **names}, body)


def done(data: object, status: int = 200) -> HttpResponse:
    return answer({"success": True, "data": data}, status)


def client_of(transport: ScriptedTransport, log: RecordingLog | None = None, **options: Any) -> CentralClient:
    keep_secret(PIN, PHONE, TOKEN)
    return CentralClient(transport, "http://central.example.com:4000", log=log or RecordingLog(), **options)


def secret(text: str = PIN) -> Secret:
    return Secret(text)


def item(session_id: int = 144, **changes: object) -> dict[str, Any]:
    """An item of the list of sessions."""
    return {
        "id": session_id,
        "pin": "135792",
        "duration": 3,
        "cancel": False,
        "active": False,
        "isInQueue": False,
        "timerId": None,
        "createdAt": "2023-01-11T11:33:19.356Z",
        "game": None,
        "bay": {
            "id": 2,
            "number": "102",
            "screenId": None,
            "timerId": None,
            "ballLevel": 0,
            "bookedTill": None,
        },
        "sessionUsers": [],
        **changes,
    }
