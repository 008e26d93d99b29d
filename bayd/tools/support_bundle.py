"""A support bundle: what somebody who helps from afar has to see, and nothing of a person or a secret.

Each part is made by itself; one that cannot be made is named in the bundle with the reason. Whatever goes
in is masked where it is made: the configuration by `effective`, the events by `journal_reader`, the log when
it was written.
"""

import asyncio
import importlib.metadata
import io
import json
import os
import platform
import tarfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import bayd
from bayd.clients.transport import AiohttpTransport
from bayd.ports import TransportError
from bayd.settings import ConfigurationError, load
from bayd.tools.effective import effective_credentials, effective_settings
from bayd.tools.journal_reader import JournalUnreadableError, reading

_ANSWER_S = 5.0
_LOG_LINES = 5_000
_PACKAGES = (
    "aiohttp",
    "pydantic",
    "pydantic-settings",
    "pyserial",
    "pyserial-asyncio",
    "sqlite-utils",
    "structlog",
)


class BundleError(Exception):
    """The file cannot be written; the message says why."""


class _LeftOutError(Exception):
    """This part cannot be made here."""


Part = Callable[[], Awaitable[str]]


async def write_bundle(
    out: Path, config: Path, url: str, events: int, now_s: float, environment: Mapping[str, str]
) -> Mapping[str, str]:
    """What became of each part: empty where it is in, else why it is not. Raises BundleError.

    `environment` says where the credentials are.
    """
    parts: Mapping[str, Part] = {
        "about.json": _about,
        "configuration.json": lambda: _configuration(config, environment),
        "status.json": lambda: _page(f"{url}/status"),
        "metrics.txt": lambda: _page(f"{url}/metrics"),
        "events.jsonl": lambda: _events(config, events),
        "log.txt": _log,
    }
    texts: dict[str, str] = {}
    problems: dict[str, str] = {}
    for name, make in parts.items():
        try:
            texts[name] = await make()
            problems[name] = ""
        except _LeftOutError as error:
            problems[name] = str(error)
    texts["left-out.json"] = json.dumps({name: text for name, text in problems.items() if text}, indent=2)
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            for name, text in texts.items():
                data = text.encode()
                entry = tarfile.TarInfo(f"bayd-dump/{name}")
                entry.size, entry.mtime, entry.mode = len(data), int(now_s), 0o600
                archive.addfile(entry, io.BytesIO(data))
    except OSError as error:
        raise BundleError(f"{out}: {error.strerror or error}") from error
    return problems


async def _about() -> str:
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    system = {
        "python": platform.python_version(),
        "kernel": platform.release(),
        "machine": platform.machine(),
    }
    return json.dumps({"bayd": bayd.__version__, **system, "packages": versions}, indent=2)


async def _configuration(config: Path, environment: Mapping[str, str]) -> str:
    try:
        rows = effective_settings(load(config), config)
    except ConfigurationError as error:
        return json.dumps({"complaints": [str(complaint) for complaint in error.complaints]}, indent=2)
    secrets = [{"name": row.path, "source": row.source} for row in effective_credentials(environment)]
    return json.dumps({"settings": [asdict(row) for row in rows], "credentials": secrets}, indent=2)


async def _page(url: str) -> str:
    transport = AiohttpTransport()
    try:
        answer = await transport.request("GET", url, timeout_s=_ANSWER_S)
    except TransportError as error:
        raise _LeftOutError(str(error)) from error
    finally:
        await transport.aclose()
    if answer.status != 200:
        raise _LeftOutError(f"HTTP {answer.status}")
    return answer.body.decode(errors="replace")


async def _events(config: Path, count: int) -> str:
    def read() -> str:
        directory = load(config).settings.state.dir
        with reading(directory / "journal.db", staff=False) as journal:
            lines = journal.last(count)
        rows = (
            {
                "seq": line.seq,
                "wall_ms": line.wall_ms,
                "bay": line.bay,
                "kind": line.event.kind,
                **line.event.facts,
            }
            for line in lines
        )
        return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)

    try:
        return await asyncio.to_thread(read)
    except (ConfigurationError, JournalUnreadableError) as error:
        raise _LeftOutError(str(error)) from error


async def _log() -> str:
    """systemd's journal of the unit, where there is one."""
    arguments = ("-u", "bayd", "-n", str(_LOG_LINES), "--no-pager", "-o", "short-iso", "--no-hostname")
    try:
        process = await asyncio.create_subprocess_exec(
            "journalctl", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        out, _ = await process.communicate()
    except OSError as error:
        raise _LeftOutError(f"journalctl: {error.strerror}") from error
    if process.returncode != 0 or not out.strip():
        raise _LeftOutError("journalctl has nothing of bayd")
    return out.decode(errors="replace")
