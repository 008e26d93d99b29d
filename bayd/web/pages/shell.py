"""The document around every page, and the security policy that goes with it."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from aiohttp import web

from bayd.web.pages.files import DIRECTORY, StaticFiles
from bayd.web.pages.markup import Html, el, join

# In the document itself: it is there when no other file comes.
_UNATTENDED = (DIRECTORY / "lib/unattended.js").read_text()
_UNATTENDED_HASH = base64.b64encode(hashlib.sha256(_UNATTENDED.encode()).digest()).decode()

# Everything from here and nothing inline but that script. Trusted Types: no script can turn text into markup.
POLICY = "; ".join(
    (
        "default-src 'none'",
        f"script-src 'self' 'sha256-{_UNATTENDED_HASH}'",
        "style-src 'self'",
        "font-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=(), serial=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Page:
    """`data` is told to the script as `data-…` attributes of the root element."""

    title: str
    body: Sequence[Html]
    language: str = "en"
    styles: Sequence[str] = ()  # names of static files, `base.css` before them
    module: str | None = None  # the script that it begins with
    data: Mapping[str, str] = field(default_factory=dict)
    unattended: bool = False  # nobody stands there who would reload it


def document(page: Page, files: StaticFiles) -> str:
    """The whole document."""
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", page.title),
        el("link", rel="icon", href=files.url("icon.svg"), type="image/svg+xml"),
        Html(f"<script>{_UNATTENDED}</script>") if page.unattended else None,
        *(el("link", rel="stylesheet", href=files.url(name)) for name in ("base.css", *page.styles)),
        None if page.module is None else el("script", type="module", src=files.url(page.module)),
    )
    data = {f"data_{name}": value for name, value in page.data.items()}
    root = el("html", head, el("body", join(page.body)), lang=page.language, data_files=files.tag, **data)
    return f"<!doctype html>\n{root}\n"


def page_response(page: Page, files: StaticFiles, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    return web.Response(
        text=document(page, files), status=status, content_type="text/html", headers=dict(_HEADERS)
    )
