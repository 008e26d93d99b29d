"""`bayd qod …`: QoS sessions at the mobile operator, by hand.

It talks to the operator directly, with the configuration's credentials (`BAYD_QOD_…` or
`$CREDENTIALS_DIRECTORY`), and only reads the journal: a daemon that runs beside it finds out by itself
what became of its sessions.
"""

import asyncio
import json
import os
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bayd.cli.options import CONFIG, JSON

if TYPE_CHECKING:
    from bayd.clients.qod import SessionInfo, SessionService
    from bayd.reconcile.qod_known import KnownSession
    from bayd.settings import Qod, Settings

_DEADLINE_S = 30.0  # somebody sits there and waits


@click.group(short_help="QoS sessions at the mobile operator.")
def qod() -> None:
    """QoS sessions at the mobile operator: create, get, delete, extend, list, reap."""


@qod.command()
@click.argument("bay")
@click.option("--minutes", type=click.IntRange(1, 1440), default=60, show_default=True)
@CONFIG
@JSON
def create(bay: str, minutes: int, config: Path, as_json: bool) -> None:
    """Ask for a session for the screen of BAY. The daemon does not know it: delete it yourself."""
    from bayd.reconcile.qod_flow import flow_of

    settings, terms = _settings(config)
    screen = settings.bays[bay].qod if bay in settings.bays else None
    if screen is None:
        raise click.UsageError(f"bay {bay} has no screen in the mobile network: [bays.{bay}.qod] is missing")
    request = flow_of(bay, terms, screen).request(minutes * 60)
    info = _ask(terms, lambda session: session.create_session(request))
    _show(info, as_json=as_json)


@qod.command()
@click.argument("session_id")
@CONFIG
@JSON
def get(session_id: str, config: Path, as_json: bool) -> None:
    """What the operator says of a session."""
    _, terms = _settings(config)
    _show(_ask(terms, lambda session: session.get_session(session_id)), as_json=as_json)


@qod.command()
@click.argument("session_id")
@CONFIG
@JSON
def delete(session_id: str, config: Path, as_json: bool) -> None:
    """End a session. One that is gone already counts as deleted."""
    _, terms = _settings(config)
    _ask(terms, lambda session: session.delete_session(session_id))
    click.echo(json.dumps({"session_id": session_id, "deleted": True}) if as_json else "deleted")


@qod.command()
@click.argument("session_id")
@click.option("--minutes", type=click.IntRange(1, 1440), required=True, help="More than it has now.")
@CONFIG
@JSON
def extend(session_id: str, minutes: int, config: Path, as_json: bool) -> None:
    """Give a session more time, where the operator's dialect can."""
    _, terms = _settings(config)
    info = _ask(terms, lambda session: session.extend_session(session_id, minutes * 60))
    _show(info, as_json=as_json)


@qod.command("list")
@CONFIG
@JSON
def list_known(config: Path, as_json: bool) -> None:
    """Sessions that the journal knows and that may still run."""
    settings, _ = _settings(config)
    rows = [_row(known) for known in _known(settings)]
    if as_json:
        click.echo(json.dumps(rows))
        return
    if not rows:
        click.echo("none is known")
    for row in rows:
        use = "in use" if row["wanted"] else "not in use"
        name = row["session_id"] or "(its id is lost)"
        click.echo(f"bay {row['bay']}  {name}  {row['state']}  over by {row['over_by']}  {use}")


@qod.command()
@click.option("--all", "everything", is_flag=True, help="Also sessions of bays that play.")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@CONFIG
@JSON
def reap(everything: bool, dry_run: bool, config: Path, as_json: bool) -> None:
    """Delete what no bay plays with: sessions that the journal knows and, where the operator can be asked
    for the sessions of a device, those that it does not know. Exit 69 when one could not be deleted, or a
    device not be asked for.
    """
    settings, terms = _settings(config)
    # First the operator, then the journal: what a daemon creates meanwhile is in the journal by then.
    found, unasked = asyncio.run(_find_all(terms, settings))
    known = _known(settings)
    doomed = [each for each in known if everything or not each.wanted]
    doomed += _strangers(known, found, everything=everything)
    ids = [(each, each.qos_id) for each in doomed if each.qos_id is not None]
    failed = {} if dry_run or not ids else asyncio.run(_delete_all(terms, [qos_id for _, qos_id in ids]))
    rows = [
        {**_row(each), "deleted": not dry_run and qos_id not in failed, "error": failed.get(qos_id, "")}
        for each, qos_id in ids
    ]
    lost = [_row(each) for each in doomed if each.qos_id is None]
    if as_json:
        click.echo(json.dumps({"sessions": rows, "lost": lost, "not_asked": unasked}))
    else:
        for row in rows:
            outcome = row["error"] or ("deleted" if row["deleted"] else "would be deleted")
            click.echo(f"bay {row['bay']}  {row['session_id']}  {outcome}")
        for row in lost:
            click.echo(f"bay {row['bay']}  its id is lost: it ends by {row['over_by']} at the latest")
        for bay, reason in unasked.items():
            click.echo(f"bay {bay}  its sessions are not known: {reason}")
        if not rows and not lost and not unasked:
            click.echo("nothing to delete")
    if failed or unasked:
        sys.exit(os.EX_UNAVAILABLE)


def _settings(config: Path) -> "tuple[Settings, Qod]":
    from bayd.settings import ConfigurationError, load

    try:
        settings = load(config).settings
    except ConfigurationError as error:
        _leave(os.EX_CONFIG, str(error))
    if settings.qod is None:
        _leave(os.EX_CONFIG, f"{config}: there is no table [qod]")
    return settings, settings.qod


def _known(settings: "Settings") -> "list[KnownSession]":
    from bayd.journal import JournalError
    from bayd.journal.disk import JOURNAL
    from bayd.reconcile.qod_known import read_known

    try:
        return read_known(settings.state.dir / JOURNAL, _now_wall_ms())
    except FileNotFoundError as error:
        _leave(os.EX_UNAVAILABLE, str(error))
    except (JournalError, sqlite3.Error) as error:
        _leave(1, f"the journal cannot be read: {error}")


def _ask(terms: "Qod", call: "Callable[[SessionService], Awaitable[Any]]") -> Any:
    """Ends the process, saying why, where the operator does not do it."""
    from bayd.clients.qod import (
        AmbiguousError,
        CredentialsError,
        InvalidInputError,
        QodError,
        RetryLaterError,
    )

    try:
        return asyncio.run(_with_client(terms, call))
    except InvalidInputError as error:
        _leave(2, str(error))
    except (RetryLaterError, AmbiguousError, CredentialsError) as error:
        _leave(os.EX_UNAVAILABLE, str(error))
    except QodError as error:
        _leave(1, str(error))


async def _with_client(terms: "Qod", call: "Callable[[SessionService], Awaitable[Any]]") -> Any:
    from bayd.clients.transport import AiohttpTransport
    from bayd.credentials import load_credentials
    from bayd.reconcile.qod_flow import QodUnusableError, make_client
    from bayd.runtime.clock import SystemClock
    from bayd.runtime.randomness import SystemRandomness
    from bayd.settings import ConfigurationError

    transport = AiohttpTransport()
    try:
        client = make_client(
            terms,
            load_credentials(),
            transport,
            clock=SystemClock(),
            randomness=SystemRandomness(),
            deadline_s=_DEADLINE_S,
        )
        return await call(client.session)
    except (QodUnusableError, ConfigurationError) as error:
        _leave(os.EX_CONFIG, str(error))
    finally:
        await transport.aclose()


async def _delete_all(terms: "Qod", ids: list[str]) -> dict[str, str]:
    """What could not be deleted, and why."""
    from bayd.clients.qod import QodError

    failed: dict[str, str] = {}

    async def go(session: "SessionService") -> None:
        for qos_id in ids:
            try:
                await session.delete_session(qos_id)
            except QodError as error:
                failed[qos_id] = str(error)

    await _with_client(terms, go)
    return failed


async def _find_all(
    terms: "Qod", settings: "Settings"
) -> "tuple[dict[str, list[SessionInfo]], dict[str, str]]":
    """By bay, what the operator shows of its flow; and why a bay could not be asked for. Nothing, where the
    dialect has no such call.
    """
    from bayd.clients.qod import QodError
    from bayd.reconcile.qod_flow import dialect_of, flow_of

    found: dict[str, list[SessionInfo]] = {}
    unasked: dict[str, str] = {}
    flows = {
        number: flow_of(number, terms, bay.qod)
        for number, bay in settings.bays.items()
        if bay.qod is not None
    }
    if not dialect_of(terms).can_retrieve or not flows:
        return found, unasked

    async def go(session: "SessionService") -> None:
        for number, flow in flows.items():
            try:
                shown = await session.retrieve_sessions(flow.device)
            except QodError as error:
                unasked[number] = str(error)
            else:
                found[number] = [info for info in shown if flow.has(info)]

    await _with_client(terms, go)
    return found, unasked


def _strangers(
    known: "list[KnownSession]", found: "dict[str, list[SessionInfo]]", *, everything: bool
) -> "list[KnownSession]":
    """At the operator, and not in the journal: left by a crash, or made by hand."""
    from bayd.reconcile.qod_known import KnownSession

    ids = {each.qos_id for each in known}
    creating = {each.bay for each in known if each.state == "creating"}
    return [
        KnownSession(
            number, info.session_id, "not in the journal", info.started_at_ms, info.duration, wanted=False
        )
        for number, shown in found.items()
        if everything or number not in creating  # a daemon is at it just now
        for info in shown
        if info.session_id not in ids
    ]


def _row(known: "KnownSession") -> dict[str, Any]:
    return {
        "bay": known.bay,
        "session_id": known.qos_id,
        "state": known.state,
        "created_at": _rfc3339(known.created_wall_ms),
        "over_by": _rfc3339(known.over_by_ms),
        "wanted": known.wanted,
    }


def _show(info: "SessionInfo", *, as_json: bool) -> None:
    """Without the device: a terminal is looked at over shoulders, and kept in logs."""
    row = {
        "session_id": info.session_id,
        "status": info.qos_status,
        "status_info": info.status_info,
        "duration_s": info.duration,
        "started_at": _rfc3339(info.started_at_ms),
        "expires_at": _rfc3339(info.expires_at_ms),
    }
    if as_json:
        click.echo(json.dumps(row))
    else:
        for name, value in row.items():
            if value is not None:
                click.echo(f"{name:12} {value}")


def _rfc3339(wall_ms: int | None) -> str | None:
    if wall_ms is None:
        return None
    return datetime.fromtimestamp(wall_ms // 1000, UTC).isoformat().replace("+00:00", "Z")


def _now_wall_ms() -> int:
    return round(datetime.now(UTC).timestamp() * 1000)


def _leave(code: int, text: str) -> NoReturn:
    click.echo(text, err=True)
    sys.exit(code)
