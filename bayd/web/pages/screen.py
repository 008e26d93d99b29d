"""`/bay/109`, a bay's screen, and `/screen`, a screen that does not know its bay yet.

The document is the same for everybody and says nothing about the bay: the script asks for the bay's state
as the screen that it is. A browser that was not let in shows a pairing code instead.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import get_args
from urllib.parse import quote

from aiohttp import web

from bayd.settings import Screens
from bayd.settings.screens import Language
from bayd.web.access import Caller
from bayd.web.pages.files import StaticFiles
from bayd.web.pages.markup import el
from bayd.web.pages.shell import Page, page_response
from bayd.web.pages.words import Words
from bayd.web.routes import Answer, Route

LANGUAGES = get_args(Language)


class ScreenPages:
    """`bays` are the numbers that exist; `site_name` is shown on every screen."""

    def __init__(
        self,
        files: StaticFiles,
        bays: Mapping[str, object],
        *,
        site_name: str,
        currency: str,
        timezone: str,
        settings: Screens,
    ) -> None:
        self._files = files
        self._bays = bays
        self._site_name = site_name
        self._currency = currency
        self._timezone = timezone
        self._settings = settings

    def routes(self) -> list[Route]:
        answers = {HTTPStatus.OK: Answer("The page", media_types=("text/html",))}
        return [
            Route("GET", "/bay/{bay}", self.show_bay, "A bay's screen", answers, described=False),
            Route("GET", "/screen", self.show_unbound, "A screen without a bay", answers, described=False),
        ]

    async def show_bay(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        number = request.match_info["bay"]
        if caller.bay is not None and caller.bay != number:
            return to_bay(caller.bay)
        if number not in self._bays:
            return self._no_such_bay()
        return self._page(number)

    async def show_unbound(self, _request: web.Request, caller: Caller) -> web.StreamResponse:
        if caller.bay is not None:
            return to_bay(caller.bay)
        return self._page("")

    def _page(self, bay: str) -> web.Response:
        settings = self._settings
        files = self._files
        data = {
            "bay": bay,
            "site": self._site_name,
            "currency": self._currency,
            "timezone": self._timezone,
            "language": settings.language,
            "theme": settings.theme,
            "catalogues": json.dumps({code: files.url(f"i18n/bay.{code}.json") for code in LANGUAGES}),
        }
        words = Words("bay", settings.language)
        title = f"{self._site_name}: {bay}" if bay else self._site_name
        page = Page(
            title or "bayd",
            [
                el(
                    "main",
                    el("p", words.say("connecting"), class_="connecting"),
                    id="screen",
                    class_="screen",
                ),
                el("noscript", el("p", words.say("script"), class_="connecting")),
                el("div", id="said", class_="unseen", aria_live="polite"),
            ],
            settings.language,
            ("bay.css",),
            "bay/main.js",
            unattended=True,
            data=data,
        )
        return page_response(page, files)

    def _no_such_bay(self) -> web.Response:
        words = Words("bay", self._settings.language)
        title = words.say("no_bay.title")
        body = el(
            "main", el("h1", title), el("p", words.say("no_bay.text"), class_="quiet"), class_="message"
        )
        data = {"theme": self._settings.theme}
        page = Page(title, [body], words.language, data=data)
        return page_response(page, self._files, HTTPStatus.NOT_FOUND)


def to_bay(number: str) -> web.Response:
    """A screen belongs to one bay, whatever is in its address bar."""
    location = f"/bay/{quote(number, safe='')}"
    return web.Response(
        status=HTTPStatus.SEE_OTHER, headers={"Location": location, "Cache-Control": "no-store"}
    )
