"""`/api/v1/outbox`: what the central server has not been told.

What staff decide about it is an act of the bay. Whether there is anything to decide is seen here, before
the act: the bay itself knows nothing of the outbox.
"""

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Protocol

from aiohttp import web

from bayd.core.inputs import Role
from bayd.journal import JournalUnavailableError
from bayd.web.access import Caller
from bayd.web.answers import answer
from bayd.web.documents import OutboxDocument, OutboxItemView
from bayd.web.problems import Problem, ProblemError
from bayd.web.routes import Answer, Route
from bayd.web.views import rfc3339


class OutboxItem(Protocol):
    """See `bayd.reconcile.outbox_item.OutboxItem`."""

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
    @property
    def waits_for(self) -> int | None: ...


ListItems = Callable[[], Awaitable[Sequence[OutboxItem]]]


async def check_item(list_items: ListItems, bay: str, seq: int, *, to_retry: bool) -> None:
    """Raises ProblemError where staff cannot decide that about this item."""
    items = await _read(list_items)
    item = next((item for item in items if (item.seq, item.bay) == (seq, bay)), None)
    if item is None:
        text = (
            f"Item {seq} is not in the outbox of bay {bay}: it was delivered or dropped, or never was there."
        )
        raise ProblemError(Problem(HTTPStatus.NOT_FOUND, "unknown_item", text, "seq"))
    if to_retry and not item.parked:
        text = f"Item {seq} is not set aside: it is delivered when its turn comes."
        raise ProblemError(Problem(HTTPStatus.CONFLICT, "not_set_aside", text))
    if to_retry and item.waits_for is not None:
        text = f"Item {item.waits_for} of the same session comes first: decide about that one."
        raise ProblemError(Problem(HTTPStatus.CONFLICT, "earlier_item", text))


async def _read(list_items: ListItems) -> Sequence[OutboxItem]:
    try:
        return await list_items()
    except JournalUnavailableError:
        text = "The journal cannot be read now."
        raise ProblemError(Problem(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", text)) from None


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
        items = await _read(self._items)
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
                    waits_for=item.waits_for,
                )
                for item in items
            ]
        )
        return answer(document)
