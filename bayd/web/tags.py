"""Answers that need not be sent again: weak ETags, and 304 for who has the same already."""

from http import HTTPStatus

from aiohttp import web

from bayd.web.routes import Answer, Parameter
from bayd.web.views import entity_tag

IF_NONE_MATCH = Parameter("If-None-Match", "header", "An ETag that you have: 304 while it still holds.")
NOT_MODIFIED = Answer("As you have it", media_types=())
TAG_HEADERS = {"ETag": "Of this state; weak, for the seconds that are left are no reason to send it again."}


def tagged(request: web.Request, body: str, still: str) -> web.Response:
    """The JSON answer, or 304. `still` is what `body` says, without what only moves with the clock."""
    etag = entity_tag(still)
    known = request.if_none_match or ()
    if any(one.value in (etag, "*") for one in known):
        response = web.Response(status=HTTPStatus.NOT_MODIFIED)
    else:
        response = web.Response(text=body, content_type="application/json")
    # Weak: the same state, though the seconds that are left differ.
    response.headers["ETag"] = f'W/"{etag}"'
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Vary"] = "Authorization"
    return response
