"""Starts and stops the processes of the demo: two reference services, the simulated range, bayd itself.

One temporary directory holds everything; bayd gets a configuration as a real site would write it, with
credentials in a directory as systemd would hand them over.
"""

import asyncio
import json
import os
import random
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bayd.demo.range_process import RangePlan, epc_of
from bayd.runtime.closing import to_the_end

MINUTE_S = 2.0
READER = "b9f79d3710da1f3e"
PORTS: Mapping[int, str] = {1: "101", 3: "102", 5: "103", 8: "104"}
HOPPERS: Mapping[str, tuple[str, ...]] = {"east": ("101", "102"), "west": ("103", "104")}
BAYS = tuple(PORTS.values())
BALLS = 2_000
_HTTP_PORTS = range(20_000, 30_000)
_START_S = 60.0  # a machine that is busy with other things
_STOP_S = 10.0
_CLIENT_ID = "demo"
_ADMIN_PASSWORD = "demo-admin"  # noqa: S105  the reference server's own, unless it is told another


class StageError(Exception):
    """The demo did not start; the message says why, or which process did not and the end of its log."""


@dataclass(frozen=True, slots=True)
class Tokens:
    staff: str
    screens: Mapping[str, str]


class Stage:
    """The processes by name. Use as an async context manager."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ports = dict(zip(("central", "qod", "bayd"), _free_ports(3), strict=True))
        self.tokens = Tokens(secrets.token_urlsafe(24), {bay: secrets.token_urlsafe(24) for bay in BAYS})
        self.plan = RangePlan({READER: PORTS}, HOPPERS, directory, f"{self.url('bayd')}/status")
        self._running: dict[str, asyncio.subprocess.Process] = {}

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    @property
    def central_db(self) -> Path:
        return self.directory / "central.db"

    @property
    def qod_db(self) -> Path:
        return self.directory / "qod.db"

    @property
    def journal(self) -> Path:
        return self.directory / "state" / "journal.db"

    @property
    def config(self) -> Path:
        return self.directory / "bayd.toml"

    async def __aenter__(self) -> "Stage":
        self._write_files()
        await self.start("central")
        await self.start("qod")
        await self.start("range")
        await self.start("bayd")
        return self

    async def __aexit__(self, *_: object) -> None:
        await to_the_end(self._stop_all())

    async def _stop_all(self) -> None:
        for name in ("bayd", "range", "qod", "central"):
            await self.stop(name)

    async def start(self, name: str) -> None:
        """Raises StageError unless the process answers in time."""
        command, environment = self._command(name)
        log = (self.directory / f"{name}.log").open("ab")
        with log:
            self._running[name] = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
        try:
            async with asyncio.timeout(_START_S):
                while not await self._answers(name):
                    if self._running[name].returncode is not None:
                        raise StageError(self._failed(name))
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise StageError(self._failed(name)) from None

    async def stop(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        process = self._running.pop(name, None)
        if process is None or process.returncode is not None:
            return
        process.send_signal(number)
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def trace(self, name: str, inject: str) -> asyncio.subprocess.Process:
        """Let system calls of a running process fail: `fdatasync:error=EIO:when=3`. Needs root and strace."""
        process = self._running[name]
        syscall = inject.partition(":")[0]
        tracer = await asyncio.create_subprocess_exec(
            "strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={syscall}", "-e", f"inject={inject}",
            "-p", str(process.pid), stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        status = Path(f"/proc/{process.pid}/status")
        async with asyncio.timeout(_START_S):
            while f"TracerPid:\t{tracer.pid}" not in status.read_text():  # noqa: ASYNC110, ASYNC240 # procfs
                await asyncio.sleep(0.02)
        return tracer

    async def order(self, do: str, **facts: Any) -> dict[str, Any]:
        """Tell the simulated range something. Raises StageError with its objection."""
        return await order(self.plan.socket, do, **facts)

    def _command(self, name: str) -> tuple[Sequence[str], dict[str, str]]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("BAYD_")}
        bayd = (sys.executable, "-m", "bayd.cli")
        match name:
            case "central":
                bays = [word for bay in BAYS for word in ("--bay", bay)]
                return (
                    *bayd,
                    "reference",
                    "central",
                    "--db",
                    str(self.central_db),
                    "--port",
                    str(self.ports[name]),
                    "--minute-s",
                    str(MINUTE_S),
                    *bays,
                ), environment
            case "qod":
                return (
                    *bayd,
                    "reference",
                    "qod",
                    "--db",
                    str(self.qod_db),
                    "--port",
                    str(self.ports[name]),
                    "--clients",
                    str(self.directory / "qod-clients.json"),
                ), environment
            case "range":
                return (*bayd, "sim", "range", "--plan", str(self.directory / "range.json")), environment
            case _:
                environment["BAYD_TIME_SCALE"] = str(60 / MINUTE_S)
                environment["CREDENTIALS_DIRECTORY"] = str(self.directory / "credentials")
                return (*bayd, "run", "--config", str(self.config)), environment

    async def _answers(self, name: str) -> bool:
        try:
            if name == "range":
                await self.order("look")
                return True
            _, writer = await asyncio.open_connection("127.0.0.1", self.ports[name])
            writer.close()
            await writer.wait_closed()
        except (OSError, StageError):
            return False
        return True

    def _failed(self, name: str) -> str:
        log = (self.directory / f"{name}.log").read_text(errors="replace")
        return f"{name} did not start:\n" + "\n".join(log.splitlines()[-15:])

    def _write_files(self) -> None:
        key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        public = (
            key.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )
        qod_secret = secrets.token_urlsafe(24)
        clients = {_CLIENT_ID: {"secret": qod_secret, "public_key_pem": public}}
        self._private("qod-clients.json", json.dumps(clients))
        credentials = self.directory / "credentials"
        credentials.mkdir()
        api_tokens = [f"{self.tokens.staff} staff reception"]
        api_tokens += [f"{token} screen {bay}" for bay, token in self.tokens.screens.items()]
        for name, text in {
            "site_key": secrets.token_hex(32),
            "api_tokens": "\n".join(api_tokens),
            "central_admin_password": _ADMIN_PASSWORD,
            "qod_client_id": _CLIENT_ID,
            "qod_client_secret": qod_secret,
            "qod_private_key": pem,
        }.items():
            self._private(f"credentials/{name}", text)
        plan = {
            "readers": {
                name: {str(p): bay for p, bay in ports.items()} for name, ports in self.plan.readers.items()
            },
            "hoppers": {name: list(bays) for name, bays in self.plan.hoppers.items()},
            "directory": str(self.directory),
            "status_url": self.plan.status_url,
        }
        (self.directory / "range.json").write_text(json.dumps(plan))
        rows = "".join(f"{epc_of(number)},,2026-01-01T00:00:00Z,\n" for number in range(1, BALLS + 1))
        (self.directory / "balls.csv").write_text("epc,label,added_at,retired_at\n" + rows)
        self.config.write_text(self._configuration())

    def _private(self, name: str, text: str) -> None:
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_text(text)

    def _configuration(self) -> str:
        ports = ", ".join(f'{port} = "{bay}"' for port, bay in PORTS.items())
        lines = [
            "[site]", 'name = "Demo range"', "[http]", f'listen = ["127.0.0.1:{self.ports["bayd"]}"]',
            "[state]", f'dir = "{self.directory / "state"}"',
            "[central]", f'url = "{self.url("central")}"', "poll_s = 0.5", "settle_s = 3", "timeout_s = 2",
            "idempotency_keys = true", "bay_state = true",
            "[qod]", f'base_url = "{self.url("qod")}/qod/v0"', 'application_server = "203.0.113.10"',
            "[balls]", f'registry = "{self.directory / "balls.csv"}"',
            "[play]", 'extension = "ask"', "extension_minutes = [3, 5]",
            f"[readers.{READER}]", f'link = "{self.plan.link(READER)}"', f"ports = {{ {ports} }}",
        ]  # fmt: skip
        for name in HOPPERS:
            lines += [f"[dispensers.{name}]", f'link = "{self.plan.link(name)}"']
        for number, bay in enumerate(BAYS):
            dispenser = next(name for name, bays in HOPPERS.items() if bay in bays)
            # Numbers that are reserved for fiction.
            phone = f"+1555010{number:04d}"
            lines += [
                f"[bays.{bay}]",
                f'dispenser = "{dispenser}"',
                f"[bays.{bay}.qod]",
                f'phone_number = "{phone}"',
            ]
        return "\n".join(lines) + "\n"


async def order(path: Path, do: str, **facts: Any) -> dict[str, Any]:
    """One order to a simulated range. Raises StageError with its objection, OSError when it is not there."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(json.dumps({"do": do, **facts}).encode() + b"\n")
        await writer.drain()
        answer: dict[str, Any] = json.loads(await reader.readline() or b'{"error": "it went away"}')
    finally:
        writer.close()
    if "error" in answer:
        raise StageError(str(answer["error"]))
    return answer


def find_socket() -> Path:
    """Of the demo that was started last. Raises FileNotFoundError."""
    sockets = Path(tempfile.gettempdir()).glob("bayd-demo-*/range.sock")
    newest = max(sockets, key=lambda path: path.stat().st_mtime, default=None)
    if newest is None:
        raise FileNotFoundError("no demo is running here; name its --socket")
    return newest


def load_plan(file: Path) -> RangePlan:
    plan = json.loads(file.read_text())
    return RangePlan(
        {name: {int(port): bay for port, bay in ports.items()} for name, ports in plan["readers"].items()},
        {name: tuple(bays) for name, bays in plan["hoppers"].items()},
        Path(plan["directory"]),
        plan["status_url"],
    )


def _free_ports(count: int) -> list[int]:
    """Free a moment ago, and none that the kernel gives meanwhile to whoever wants any. Raises StageError."""
    free: list[int] = []
    for port in random.sample(_HTTP_PORTS, len(_HTTP_PORTS)):
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
        free.append(port)
        if len(free) == count:
            return free
    raise StageError(f"no free port from {_HTTP_PORTS.start} to {_HTTP_PORTS.stop - 1}")
