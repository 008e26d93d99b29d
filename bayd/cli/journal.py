"""`bayd events` and `bayd dump`: what has happened, for people and for those who help them."""

import json
import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bayd.cli.options import CONFIG, FILE, JSON, refuse_unreadable

if TYPE_CHECKING:
    from bayd.settings.site import Site, State
    from bayd.tools.journal_reader import Line

_LOOK_S = 0.5


@click.command()
@CONFIG
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens now.")
@click.option("--bay", help="Of this bay alone.")
@click.option("--kind", "kinds", multiple=True, help="Such as SessionStarted; may be given again.")
@click.option("--after", type=click.IntRange(0), help="Those after this number.")
@click.option(
    "--last", type=click.IntRange(0), default=50, show_default=True, help="Without --after: so many."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def events(
    config: Path,
    follow: bool,
    bay: str | None,
    kinds: tuple[str, ...],
    after: int | None,
    last: int,
    as_json: bool,
) -> None:
    """What the journal has recorded, a line for each event. Reads the file: the daemon need not run."""
    from bayd.tools.journal_reader import JournalUnreadableError, reading

    _, state = _places(config)
    try:
        with reading(state.dir / "journal.db") as journal:
            wanted = frozenset(kinds)
            seq = journal.last_seq() if after is None else after
            for line in journal.last(last, bay, wanted) if after is None else journal.after(after, bay):
                if not wanted or line.event.kind in wanted:
                    _print(line, as_json=as_json)
                seq = max(seq, line.seq)
            while follow:
                for line in journal.after(seq, bay):
                    seq = line.seq
                    if not wanted or line.event.kind in wanted:
                        _print(line, as_json=as_json)
                sys.stdout.flush()
                time.sleep(_LOOK_S)
    except JournalUnreadableError as error:
        click.echo(str(error), err=True)
        sys.exit(os.EX_UNAVAILABLE)
    except KeyboardInterrupt:
        pass  # the way to end --follow


@click.command(short_help="What staff and technicians did on one day.")
@CONFIG
@click.option("--day", help="As 2026-11-22, in the site's time zone. Default: today.")
@click.option("--csv", "as_csv", is_flag=True, help="As a table to keep.")
@JSON
def audit(config: Path, day: str | None, as_csv: bool, as_json: bool) -> None:
    """What staff and technicians did on one day: who, why, before, after. Reads the file."""
    from bayd.tools.journal_reader import JournalUnreadableError, reading
    from bayd.web.audit import as_csv as table_of
    from bayd.web.audit import day_bounds_ms, views

    site, state = _places(config)
    zone = site.zone_for_people
    try:
        wanted = datetime.now(zone).date() if day is None else date.fromisoformat(day)
    except ValueError:
        raise click.BadParameter("a day is written as 2026-11-22", param_hint="--day") from None
    try:
        with reading(state.dir / "journal.db") as journal:
            rows = views(journal.audit(*day_bounds_ms(wanted, zone)), zone)
    except JournalUnreadableError as error:
        click.echo(str(error), err=True)
        sys.exit(os.EX_UNAVAILABLE)
    if as_csv:
        click.echo(table_of(rows), nl=False)
    elif as_json:
        click.echo(json.dumps([row.model_dump() for row in rows], indent=2, ensure_ascii=False))
    else:
        for row in rows:
            changes = "  ".join(
                f"{name} {_shown(row.before.get(name))} -> {_shown(after)}"
                for name, after in row.after.items()
            )
            where = f"bay {row.bay}" if row.bay else "range"
            head = f"{row.at}  {where}  {row.who} ({row.role})  {row.act}  {row.reason!r}"
            click.echo("  ".join(part for part in (head, _asked(row.asked), changes) if part))
        if not rows:
            click.echo(f"nobody did anything on {wanted.isoformat()}")


@click.command(short_help="Collect what a distant helper needs to see.")
@CONFIG
@click.option("--url", envvar="BAYD_URL", help="Of the daemon. [default: as configured]")
@click.option("--out", type=FILE, help="Default: bayd-dump-DATE.tar.gz here.")
@click.option("--events", "count", type=click.IntRange(0), default=5000, show_default=True)
@JSON
def dump(config: Path, url: str | None, out: Path | None, count: int, as_json: bool) -> None:
    """Write what a helper at the other end of a telephone needs to see: no names, numbers or secrets."""
    import asyncio

    from bayd.cli.config import environment_with_credentials
    from bayd.settings.local_socket import url_of
    from bayd.tools.support_bundle import BundleError, write_bundle

    refuse_unreadable(config)

    now = datetime.now(UTC)
    out = out or Path(f"bayd-dump-{now:%Y%m%d-%H%M%S}.tar.gz")
    try:
        environment = environment_with_credentials(config)
        parts = asyncio.run(
            write_bundle(out, config, url or url_of(config), count, now.timestamp(), environment)
        )
    except BundleError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps({"file": str(out), "parts": dict(parts)}, indent=2))
        return
    for name, problem in parts.items():
        click.echo(f"{'left out' if problem else 'written '}  {name}{'  ' + problem if problem else ''}")
    click.echo(f"{out}: look through it before you send it")


def _asked(asked: Mapping[str, object]) -> str:
    """What was said with the act, as money; without what only programs can read."""
    return "  ".join(
        name if value is True else f"{name} {value}"
        for name, value in asked.items()
        if value is not None and value is not False and value != "" and not name.endswith("_id")
    )


def _shown(value: object) -> object:
    return "-" if value is None else value


def _print(line: "Line", *, as_json: bool) -> None:
    event = line.event
    if as_json:
        row: dict[str, Any] = {
            "seq": line.seq,
            "at": _rfc3339(line.wall_ms),
            "clock": "synchronised" if line.synchronised else "not synchronised",
            "bay": line.bay,
            "kind": event.kind,
            "version": event.version,
            "facts": event.facts,
        }
        click.echo(json.dumps(row, ensure_ascii=False))
        return
    facts = "  ".join(f"{name}={_short(value)}" for name, value in event.facts.items())
    doubt = "" if line.synchronised else "?"
    click.echo(f"{line.seq:>7}  {_rfc3339(line.wall_ms)}{doubt}  bay {line.bay}  {event.kind}  {facts}")


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _rfc3339(wall_ms: int) -> str:
    return (
        datetime.fromtimestamp(wall_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def _places(config: Path) -> "tuple[Site, State]":
    """Read alone: a journal is wanted most when the configuration is wrong."""
    from bayd.settings.loading import find_unreadable, read_places

    site, state, complaints = read_places(config)
    for complaint in complaints:
        click.echo(str(complaint), err=True)
    if find_unreadable(config) is not None:  # more likely another file was meant than none
        sys.exit(os.EX_CONFIG)
    if complaints:
        click.echo(f"taken all the same: state.dir = {state.dir}, timezone = {site.timezone}", err=True)
    return site, state
