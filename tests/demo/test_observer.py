"""Who looks at the status all evening: an error of the daemon is no evening's end."""

import asyncio
from pathlib import Path

from aiohttp import web

from bayd.demo.observer import Observer
from bayd.demo.truth import TruthBook

PLAYING = {"phase": "playing", "session": {"id": "7", "remaining_s": 60.0}}


async def test_an_error_of_the_daemon_is_looked_past(tmp_path: Path) -> None:
    asked = 0

    async def status(_request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        if asked == 1:
            return web.json_response({"code": "internal"}, status=500)
        return web.json_response({"bays": {"109": PLAYING}})

    app = web.Application()
    app.router.add_get("/status", status)
    runner = web.AppRunner(app)
    await runner.setup()
    book = TruthBook(tmp_path / "truth.db")
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        observer = Observer(f"http://{host}:{port}/status", book)
        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            looking = tasks.create_task(observer.run(), name="observer")
            while observer.session_at("109") is None:  # noqa: ASYNC110 # it looks in a task of its own
                await asyncio.sleep(0.01)
            looking.cancel()
    finally:
        await runner.cleanup()
        book.close()
    assert observer.remaining_s("109") > 0
