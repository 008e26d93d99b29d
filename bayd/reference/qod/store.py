"""The database behind its one thread: calls wait for each other, never the loop for the disk."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from bayd.reference.qod.database import OperatorDatabase

P = ParamSpec("P")
T = TypeVar("T")


class OperatorStore:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="qod-operator-db")
        self._database: OperatorDatabase | None = None

    async def open(self) -> OperatorDatabase:
        self._database = await self._call(OperatorDatabase, self._path)
        return self._database

    async def aclose(self) -> None:
        if self._database is not None:
            await self._call(self._database.close)
        self._thread.shutdown()

    async def run(
        self,
        method: Callable[Concatenate[OperatorDatabase, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """`await store.run(OperatorDatabase.find, session_id, now)`."""
        assert self._database is not None, "open() comes first"
        database = self._database
        return await self._call(lambda: method(database, *args, **kwargs))

    async def _call(self, call: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *args)
