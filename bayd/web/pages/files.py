"""The files of the pages, served from memory: what was not there at the start does not exist.

All of them are under one name made from their contents, `/static/TAG/…`: browsers keep them for ever, a new
release has new names, and a module that imports its neighbour gets the one of the same release.
"""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from aiohttp import web

from bayd.web.access import Caller
from bayd.web.problems import Problem, ProblemError
from bayd.web.routes import Answer, Route

DIRECTORY = Path(__file__).parent.parent / "static"
_TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}
_PACKED_ALREADY = frozenset({".woff2"})


@dataclass(frozen=True, slots=True)
class _File:
    data: bytes
    packed: bytes | None
    media_type: str


class StaticFiles:
    """Read once, when it is made."""

    def __init__(self, directory: Path = DIRECTORY) -> None:
        self._files = {
            path.relative_to(directory).as_posix(): _read(path)
            for path in sorted(directory.rglob("*"))
            if path.suffix in _TYPES and path.is_file()
        }
        digest = hashlib.blake2b(digest_size=6)
        for name, file in self._files.items():
            digest.update(name.encode() + b"\0" + file.data + b"\0")
        self.tag = digest.hexdigest()

    def url(self, name: str) -> str:
        """Raises LookupError: a page that names a file which is not there is a defect."""
        if name not in self._files:
            raise LookupError(f"there is no static file {name}")
        return f"/static/{self.tag}/{name}"

    def routes(self) -> list[Route]:
        return [
            Route(
                "GET",
                "/static/{tag}/{name:.+}",
                self.show,
                "A file of the pages",
                {HTTPStatus.OK: Answer("The file", media_types=())},
                described=False,
            )
        ]

    async def show(self, request: web.Request, _caller: Caller) -> web.StreamResponse:
        file = self._files.get(request.match_info["name"])
        if file is None or request.match_info["tag"] != self.tag:
            raise ProblemError(Problem(HTTPStatus.NOT_FOUND, "not_found", "There is no such file."))
        headers = {
            "Content-Type": file.media_type,
            "Cache-Control": "public, max-age=31536000, immutable",
            "Vary": "Accept-Encoding",
        }
        if file.packed is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
            return web.Response(body=file.packed, headers={**headers, "Content-Encoding": "gzip"})
        return web.Response(body=file.data, headers=headers)


def _read(path: Path) -> _File:
    data = path.read_bytes()
    packed = None if path.suffix in _PACKED_ALREADY else gzip.compress(data, mtime=0)
    smaller = packed if packed is not None and len(packed) < len(data) else None
    return _File(data, smaller, _TYPES[path.suffix])
