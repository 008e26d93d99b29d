"""`bayd commission BAY`: a bay is taken into service, step by step, and signed off.

Everything goes through the daemon: what it hears, pays and knows is what play will use. The report is kept by
the daemon under the name of who is logged in, and compared with the one before.
"""

import asyncio
import json
import sys
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import click

from bayd.cli.daemon import Daemon, DaemonRefusedError, Door, door_options, in_daemon
from bayd.cli.dispenser import pay_on_trial
from bayd.cli.options import JSON
from bayd.cli.reader_listening import reader_path

STEPS = ("antenna", "neighbour", "payout", "level", "screen", "booking")
_ENOUGH_READS = 5
_QUIETER_DB = 6  # so much weaker a neighbour must hear it: below that presence cannot tell bays apart


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    outcome: str  # "pass", "fail", "skipped"
    text: str


@dataclass(slots=True)
class Heard:
    """One EPC at the antennas of one reader: port -> reads, and the strongest."""

    reads: dict[int, int]
    strongest: dict[int, tuple[int | None, int]]  # dBm where it is known, and the reader's own figure


@click.command(short_help="Take a bay into service, step by step.")
@click.argument("bay")
@door_options
@click.option("--skip", multiple=True, type=click.Choice(STEPS), help="Leave a step out; may be given again.")
@click.option(
    "--seconds", type=click.FloatRange(min=0.5), default=20.0, show_default=True, help="To hold the ball."
)
@click.option("--no-questions", is_flag=True, help="Ask nobody; what only a person sees is skipped.")
@click.option("--list", "only_list", is_flag=True, help="Show the reports of this bay, do nothing.")
@JSON
def commission(
    bay: str,
    door: Door,
    skip: tuple[str, ...],
    seconds: float,
    no_questions: bool,
    only_list: bool,
    as_json: bool,
) -> None:
    """Take BAY into service: antenna, neighbour, one ball, level, screen, booking.

    Exit 1 when a step fails. The report is kept in `state.dir`.
    """
    path = f"/api/v1/bays/{bay}/commission"
    if only_list:
        reports = in_daemon(door, lambda daemon: daemon.get(path))["reports"]
        if as_json:
            click.echo(json.dumps(reports, indent=2))
        for report in () if as_json else reports:
            passed = "in order" if report["passed"] else "NOT in order"
            click.echo(f"{report['at']}  {report['by']:20} {passed}  bayd {report['version']}")
        if not reports and not as_json:
            click.echo(f"bay {bay}: no report yet")
        return

    def say(text: str) -> None:
        click.echo(text, err=as_json)

    async def go(daemon: Daemon) -> Any:
        trial = _Trial(daemon, bay, seconds, say, None if no_questions else _asked)
        steps = await trial.run(skip)
        document = {"steps": [{"name": s.name, "outcome": s.outcome, "text": s.text} for s in steps]}
        return await daemon.ask("PUT", f"{path}/{uuid.uuid4()}", document, timeout_s=30)

    report = in_daemon(door, go)
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        from bayd.web.commission_book import as_text

        click.echo("\n" + as_text(report), nl=False)
    if not report["passed"]:
        sys.exit(1)


class _Trial:
    """`ask` None: nobody is there to answer."""

    def __init__(
        self,
        daemon: Daemon,
        bay: str,
        seconds: float,
        say: Callable[[str], None],
        ask: Callable[[str], Awaitable[bool]] | None,
    ) -> None:
        self._daemon = daemon
        self._bay = bay
        self._seconds = seconds
        self._say = say
        self._ask = ask
        self._heard: Heard | None = None
        self._port: int | None = None

    async def run(self, skip: tuple[str, ...]) -> list[Step]:
        """Raises DaemonRefusedError for a bay that does not exist."""
        await self._daemon.get(f"/api/v1/bays/{self._bay}")
        work = (self._antenna, self._neighbour, self._payout, self._level, self._screen, self._booking)
        steps = []
        for name, do in zip(STEPS, work, strict=True):
            if name in skip:
                step = Step(name, "skipped", "left out by --skip")
            else:
                try:
                    outcome, text = await do()
                except DaemonRefusedError as error:
                    outcome, text = "fail", str(error)[:300]
                step = Step(name, outcome, text)
            self._say(f"{step.outcome:8} {step.name:10} {step.text}")
            steps.append(step)
        return steps

    async def _antenna(self) -> tuple[str, str]:
        status = await self._daemon.get("/status")
        place = next(
            (
                (name, int(port))
                for name, reader in status["devices"]["readers"].items()
                for port, shown in reader.get("ports", {}).items()
                if shown["place"] == self._bay
            ),
            None,
        )
        if place is None:
            return "skipped", "no antenna belongs to this bay"
        name, self._port = place
        self._say(f"hold one ball at the antenna of bay {self._bay} (reader {name}, port {self._port})")
        by_tag: dict[str, Heard] = {}
        try:
            async with asyncio.timeout(self._seconds):
                async for event in self._daemon.stream(reader_path(name, "watch")):
                    if event.event != "reads":
                        continue
                    for read in event.json["reads"]:
                        heard = by_tag.setdefault(read["epc"], Heard({}, {}))
                        _note(heard, read)
                    if any(heard.reads.get(self._port, 0) >= _ENOUGH_READS for heard in by_tag.values()):
                        break
        except TimeoutError:
            pass
        here = [(heard.reads[self._port], epc) for epc, heard in by_tag.items() if self._port in heard.reads]
        if not here:
            elsewhere = sorted({port for heard in by_tag.values() for port in heard.reads})
            also = f"; heard at port {', '.join(map(str, elsewhere))} instead" if elsewhere else ""
            return "fail", f"no ball was heard at port {self._port} within {self._seconds:g} s{also}"
        reads, epc = max(here)
        self._heard = by_tag[epc]
        return "pass", f"{epc} heard {reads} times, {_strength(self._heard, self._port)}"

    async def _neighbour(self) -> tuple[str, str]:
        if self._heard is None or self._port is None:
            return "skipped", "no ball was heard at this antenna"
        own_dbm, own_raw = self._heard.strongest[self._port]
        loud = []
        for port, (dbm, raw) in self._heard.strongest.items():
            if port == self._port:
                continue
            known = own_dbm is not None and dbm is not None
            if own_dbm - dbm < _QUIETER_DB if known else raw >= own_raw:  # type: ignore[operator]
                loud.append(port)
        if loud:
            where = ", ".join(f"port {port} ({_strength(self._heard, port)})" for port in sorted(loud))
            return "fail", f"the ball is heard as well at {where}: less power, or turn the antenna"
        others = len(self._heard.strongest) - 1
        return "pass", "no other antenna hears it" if not others else "the others hear it much weaker"

    async def _payout(self) -> tuple[str, str]:
        devices = (await self._daemon.get("/api/v1/devices"))["devices"]
        machine = next((d for d in devices if d["kind"] == "dispenser" and self._bay in d["bays"]), None)
        if machine is None:
            return "skipped", "this bay has no dispenser"
        self._say(f"one ball is paid out by {machine['name']}")
        body = {"balls": 1, "reason": f"commission of bay {self._bay}"}
        outcome = await pay_on_trial(self._daemon, machine, [self._bay], body)
        if not outcome["done"]:
            return "fail", outcome["text"]
        if self._ask is None:
            return "pass", f"{machine['name']} says that it paid; nobody looked"
        came = await self._ask("Did exactly one ball come out?")
        return ("pass", "one ball came out") if came else ("fail", "not exactly one ball came out")

    async def _level(self) -> tuple[str, str]:
        devices = (await self._daemon.get("/api/v1/devices"))["devices"]
        machine = next((d for d in devices if d["kind"] == "dispenser" and self._bay in d["bays"]), None)
        if machine is None:
            return "skipped", "this bay has no dispenser"
        match machine["level"]:
            case "unknown":
                return "skipped", f"{machine['name']} has no level sensor that tells"
            case "empty":
                return "fail", f"{machine['name']} says that it is empty"
            case level:
                return "pass", f"{machine['name']}: {level}"

    async def _screen(self) -> tuple[str, str]:
        screen = (await self._daemon.get(f"/api/v1/bays/{self._bay}"))["devices"]["screen"]
        if screen["state"] == "ok":
            return "pass", "the screen is connected"
        if screen["state"] == "lost":
            return "fail", f"the screen is away: {screen['reason']}"
        if self._ask is None:
            return "skipped", "no screen is known to be there, and nobody looked"
        seen = await self._ask(f"Does the screen of bay {self._bay} show this bay?")
        return ("pass", "the screen shows the bay") if seen else ("fail", "the screen does not show the bay")

    async def _booking(self) -> tuple[str, str]:
        central = (await self._daemon.get("/status"))["central"]
        if not central["online"]:
            return "fail", f"the central server does not answer: {central.get('reason', 'unknown')}"[:300]
        return "pass", "the central server answers; bookings are read"


def _note(heard: Heard, read: dict[str, Any]) -> None:
    port, now = read["port"], (read["rssi_dbm"], read["rssi_raw"])
    heard.reads[port] = heard.reads.get(port, 0) + 1
    if port not in heard.strongest or now[1] > heard.strongest[port][1]:
        heard.strongest[port] = now


def _strength(heard: Heard, port: int) -> str:
    dbm, raw = heard.strongest[port]
    return f"strength {raw}" if dbm is None else f"{dbm} dBm"


async def _asked(question: str) -> bool:
    return await asyncio.to_thread(click.confirm, question, err=True)
