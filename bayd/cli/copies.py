"""`bayd backup`, `restore`, `migrate`: the journal's copies, and its schema ahead of a start.

Root may call them, too: what is written beside the journal is written by the owner of that directory.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

import click

from bayd.cli.options import FILE, config_option
from bayd.cli.progress import progress

T = TypeVar("T")

_CONFIG = config_option("Its `state.dir` has the journal.")


@click.command(short_help="Copy the journal into a file.")
@click.argument("file", type=FILE)
@_CONFIG
def backup(file: Path, config: Path) -> None:
    """Copy the journal into FILE, whether or not the daemon runs; without the hashes of PINs.

    A FILE that exists is replaced only if it is such a copy.
    """
    from bayd.journal.keeping import back_up

    journal = _journal(config)
    if _same_owner(file.absolute().parent, journal.parent):
        _become_owner(journal.parent)
    with progress("Copying", 100) as done:
        _tried(lambda: back_up(journal, file, on_percent=done))
    click.echo(f"{journal} -> {file}, {file.stat().st_size} bytes")


@click.command(short_help="Put a backup in the journal's place.")
@click.argument("file", type=FILE)
@_CONFIG
def restore(file: Path, config: Path) -> None:
    """Put the backup FILE in the journal's place; the daemon must be stopped.

    What happened after the backup is forgotten: look through the sessions of that time at the desk.
    """
    from bayd.journal.keeping import restore as restore_journal

    journal = _journal(config)
    there_is = file.is_file()
    owner = _become_owner(journal.parent)
    if there_is and owner is not None and not os.access(file, os.R_OK):
        there = journal.parent / file.name
        _fail(
            f"{owner} may not read {file}: install -o {owner} -m 600 {file} {there}, "
            f"then bayd restore {there}"
        )
    aside = _tried(lambda: restore_journal(journal, file, _stamp()))
    click.echo(f"{file} -> {journal}")
    if aside is not None:
        click.echo(f"the journal until now is {aside}")


@click.command(short_help="Bring the journal to this release's schema.")
@_CONFIG
def migrate(config: Path) -> None:
    """Bring the journal to this release's schema, after a copy beside it; the daemon must be stopped.

    A start does the same by itself.
    """
    from bayd.journal.keeping import migrate as migrate_journal

    journal = _journal(config)
    _become_owner(journal.parent)
    migrated = _tried(lambda: migrate_journal(journal))
    if not migrated.applied:
        click.echo(f"{journal}: nothing to do")
        return
    click.echo(f"{journal}: {', '.join(migrated.applied)}; as it was before: {migrated.copy}")


def _journal(config: Path) -> Path:
    from bayd.journal.disk import JOURNAL
    from bayd.settings import ConfigurationError, load

    try:
        return load(config).settings.state.dir / JOURNAL
    except ConfigurationError as error:
        click.echo(str(error), err=True)
        sys.exit(os.EX_CONFIG)


def _become_owner(directory: Path) -> str | None:
    from bayd.tools.ownership import become_owner

    name = become_owner(directory)
    if name is not None:
        click.echo(f"as {name}, who owns {directory}", err=True)
    return name


def _same_owner(one: Path, other: Path) -> bool:
    return one.is_dir() and one.stat().st_uid == other.stat().st_uid


def _tried(do: Callable[[], T]) -> T:
    from bayd.journal import JournalError

    try:
        return do()
    except JournalError as error:
        _fail(str(error))


def _fail(text: str) -> NoReturn:
    click.echo(f"bayd: {text}", err=True)
    sys.exit(1)


def _stamp() -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
