"""One row per call of the API: what serves it, who may, what goes in and what comes out.

The application is made from these rows, and so is the API description: neither can say what the other
does not.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from aiohttp import web
from pydantic import BaseModel

from bayd.core.inputs import Role
from bayd.web.access import Caller

Handle = Callable[[web.Request, Caller], Awaitable[web.StreamResponse]]

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """One of the answers of a call. `model` None: text, or nothing."""

    meaning: str
    model: type[BaseModel] | None = None
    media_types: tuple[str, ...] = (JSON,)  # none: an answer without a body
    headers: Mapping[str, str] = field(default_factory=dict)  # name -> what it says


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    where: str  # "query", "header"
    description: str
    pattern: str | None = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """A call. `refusals` are the problem documents of its own; what every call may answer is added."""

    method: str
    path: str
    handle: Handle
    summary: str
    answers: Mapping[HTTPStatus, Answer]
    roles: frozenset[Role] | None = None  # None: anybody
    body: type[BaseModel] | None = None
    body_required: bool = True
    refusals: Mapping[HTTPStatus, str] = field(default_factory=dict)
    parameters: tuple[Parameter, ...] = ()
    tag: str = "daemon"
    limited: bool = True  # False: a watchdog must not be refused because a neighbour was noisy
    described: bool = True
    is_stream: bool = False  # its answer ends with the daemon
