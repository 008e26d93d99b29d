"""A document as the answer to a call. Nobody keeps it: what is true of a bay is true for a moment."""

from http import HTTPStatus

from aiohttp import web
from pydantic import BaseModel


def answer(
    document: BaseModel, status: HTTPStatus = HTTPStatus.OK, *, exclude_none: bool = False
) -> web.Response:
    return web.Response(
        text=document.model_dump_json(exclude_none=exclude_none),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
