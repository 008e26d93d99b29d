"""What a reader hears, on a free port or through the daemon, and how it is shown."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

import click

from bayd.cli.daemon import Daemon
from bayd.cli.reader_target import Target, identified

if TYPE_CHECKING:
    from bayd.tools.reader_watch import Tallies
    from hardware.rfid import ReaderEvent, TagRead


def reader_path(held: str, what: str) -> str:
    return f"/api/v1/devices/readers/{quote(held, safe='')}/{what}"


class Listen(Protocol):
    """Hears for a while; everything is told to the two callbacks."""

    def __call__(
        self, on_reads: "Callable[[Sequence[TagRead]], None]", on_note: Callable[[str], None]
    ) -> Awaitable[None]: ...


async def listen_here(
    target: Target,
    ports: tuple[int, ...],
    seconds: float | None,
    on_reads: "Callable[[Sequence[TagRead]], None]",
    on_note: Callable[[str], None],
) -> None:
    """Raises ReaderTalkError."""
    from bayd.devices.reader_documents import note_of
    from bayd.runtime.randomness import SystemRandomness
    from bayd.tools.reader_watch import watch
    from hardware.rfid import TagBatch

    def on_event(event: "ReaderEvent") -> None:
        if isinstance(event, TagBatch):
            on_reads(event.reads)
        elif (note := note_of(event)) is not None:
            on_note(note)

    found = await identified(target)
    await watch(
        target.link,
        found,
        ports or found.ports_to_read,
        seconds=seconds,
        address=target.address,
        on_event=on_event,
        randomness=SystemRandomness(),
    )


async def listen_there(
    daemon: Daemon,
    held: str,
    ports: tuple[int, ...],
    seconds: float | None,
    on_reads: "Callable[[Sequence[TagRead]], None]",
    on_note: Callable[[str], None],
) -> None:
    """Raises DaemonRefusedError, DaemonUnreachableError."""
    from hardware.rfid import TagRead

    devices = (await daemon.get("/api/v1/devices"))["devices"]
    for device in devices:
        if device["kind"] == "reader" and device["name"] == held and device["state"] == "lost":
            on_note(f"the reader is away: {device['reason']}")
    query = f"?ports={','.join(map(str, ports))}" if ports else ""
    try:
        async with asyncio.timeout(seconds):
            async for event in daemon.stream(reader_path(held, "watch") + query):
                match event.event:
                    case "listening":
                        heard = ", ".join(map(str, event.json["ports"]))
                        on_note(f"bayd holds the reader and lets us hear its ports {heard}")
                    case "reads":
                        on_reads([TagRead(**read) for read in event.json["reads"]])
                    case "note":
                        on_note(event.json["text"])
    except TimeoutError:
        return
    on_note("bayd has ended the stream")


async def shown(listen: Listen, *, console: Any, as_json: bool) -> "Tallies":
    """`console` None: no live picture."""
    from rich.live import Live

    from bayd.cli.reader_views import tag_table
    from bayd.devices.reader_documents import read_document
    from bayd.tools.reader_watch import Tallies

    tallies = Tallies()
    notes: list[str] = []

    def on_reads(reads: "Sequence[TagRead]") -> None:
        tallies.add(reads)
        for read in reads if as_json else ():
            click.echo(json.dumps({"event": "tag", **read_document(read)}))

    def on_note(note: str) -> None:
        notes.append(note)
        if as_json:
            click.echo(json.dumps({"event": "note", "text": note}))
        elif console is None:
            click.echo(note, err=True)

    if console is None:
        await listen(on_reads=on_reads, on_note=on_note)
        return tallies
    with Live(console=console, get_renderable=lambda: tag_table(tallies, notes[-3:]), refresh_per_second=4):
        await listen(on_reads=on_reads, on_note=on_note)
    return tallies
