"""`/api/v1/outbox`: what the central server has not been told. What staff decide about it is an act."""

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Protocol

from aiohttp import web

from bayd.core.inputs import Role
from bayd.journal import JournalUnavailableError
from bayd.web.access import Caller
from bayd.web.documents import OutboxDocument, OutboxItemView
from bayd.web.problems import Problem, ProblemError
from bayd.web.routes import Answer, Route
from bayd.web.views import rfc3339


class OutboxItem(Protocol):
    """See `bayd.reconcile.outbox.OutboxItem`."""

    @property
    def seq(self) -> int: ...
    @property
    def bay(self) -> str: ...
    @property
    def session_id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def since_wall_ms(self) -> int: ...
    @property
    def reason(self) -> str: ...
    @property
    def parked(self) -> bool: ...


ListItems = Callable[[], Awaitable[Sequence[OutboxItem]]]


class OutboxPage:
    """`items` raises JournalUnavailableError."""

    def __init__(self, items: ListItems) -> None:
        self._items = items

    def routes(self) -> list[Route]:
        return [
            Route(
                "GET",
                "/api/v1/outbox",
                self.show,
                "What the central server has not been told",
                {HTTPStatus.OK: Answer("The items, first what was set aside", OutboxDocument)},
                roles=frozenset({Role.STAFF}),
                refusals={HTTPStatus.SERVICE_UNAVAILABLE: "The journal cannot be read now"},
                tag="central",
            )
        ]

    async def show(self, _request: web.Request, _caller: Caller) -> web.StreamResponse:
        try:
            items = await self._items()
        except JournalUnavailableError:
            text = "The journal cannot be read now."
            raise ProblemError(Problem(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", text)) from None
        document = OutboxDocument(
            items=[
                OutboxItemView(
                    seq=item.seq,
                    bay=item.bay,
                    session_id=item.session_id,
                    kind=item.kind,
                    since=rfc3339(item.since_wall_ms),
                    reason=item.reason,
                    parked=item.parked,
                )
                for item in items
            ]
        )
        return web.Response(
            text=document.model_dump_json(),
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )
