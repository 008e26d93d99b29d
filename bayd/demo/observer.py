"""Somebody who looks at the public status all evening and notes who plays from when to when."""

import asyncio
from typing import Any

import aiohttp

from bayd.demo.truth import TruthBook

_LOOK_EVERY_S = 0.04
_TIMEOUT_S = 1.0


class Observer:
    """Knows of a bay what its screen shows; nothing while the daemon is away."""

    def __init__(self, status_url: str, book: TruthBook) -> None:
        self._url = status_url
        self._book = book
        self._bays: dict[str, dict[str, Any]] = {}
        self._looked_at = 0.0
        self._playing: dict[str, str] = {}

    def session_at(self, bay: str) -> str | None:
        return self._playing.get(bay)

    def remaining_s(self, bay: str) -> float:
        """What the screen shows now; 0 when nobody plays, or when the screen is dead."""
        age_s = asyncio.get_running_loop().time() - self._looked_at
        view = self._bays.get(bay)
        if view is None or view["phase"] != "playing" or view["session"] is None or age_s > _TIMEOUT_S:
            return 0.0
        return float(view["session"]["remaining_s"]) - age_s

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                before = loop.time()
                try:
                    async with session.get(self._url, raise_for_status=True) as response:
                        document = await response.json()
                except (aiohttp.ClientError, TimeoutError, ValueError):
                    document = None
                if document is not None:
                    # What it shows was true somewhere between question and answer.
                    self._note(document["bays"], (before + loop.time()) / 2)
                await asyncio.sleep(_LOOK_EVERY_S)

    def _note(self, bays: dict[str, dict[str, Any]], at: float) -> None:
        middle = (self._looked_at + at) / 2 if at - self._looked_at < _TIMEOUT_S else at
        for number, view in bays.items():
            playing = view["session"]["id"] if view["phase"] in ("playing", "paused") else None
            before = self._playing.get(number)
            if playing == before:
                continue
            if before is not None:
                self._book.play_ended(number, before, middle)
                del self._playing[number]
            if playing is not None:
                self._book.play_began(number, playing, middle)
                self._playing[number] = playing
        self._bays, self._looked_at = bays, at
