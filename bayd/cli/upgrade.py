"""`bayd upgrade`, hidden: what the package's script asks of the journal when a release takes another's place.

Of the configuration the state directory alone is read: a release that cannot run on it any more, or not yet,
must not keep another from coming.
"""

import sys
from pathlib import Path
from typing import NoReturn

import click

from bayd.cli.options import CONFIG, FILE, refuse_unreadable


@click.group(hidden=True)
def upgrade() -> None:
    """For /usr/lib/bayd/release."""


@upgrade.command()
@click.argument("version")
@CONFIG
def keep(version: str, config: Path) -> None:
    """Copy the journal, which VERSION wrote, for the way back; print where it lies."""
    from bayd.journal import JournalError
    from bayd.runtime.upgrade import keep as keep_journal

    try:
        click.echo(keep_journal(_journal(config), version).absolute())
    except (JournalError, OSError) as error:
        _fail(error)


@upgrade.command()
@click.argument("copy", type=FILE)
@CONFIG
def undo(copy: Path, config: Path) -> None:
    """Put COPY in the journal's place, unless that has not gone on since."""
    from bayd.journal import JournalError
    from bayd.journal.keeping import put_back

    journal = _journal(config)
    try:
        is_different = put_back(journal, copy)
    except JournalError as error:
        _fail(error)
    click.echo(
        f"{journal}: {'as before the upgrade' if is_different else 'unchanged by the upgrade'}", err=True
    )


def _journal(config: Path) -> Path:
    from bayd.journal.disk import JOURNAL
    from bayd.settings.loading import read_places

    refuse_unreadable(config)
    _, state, _ = read_places(config)
    return state.dir / JOURNAL


def _fail(error: Exception) -> NoReturn:
    click.echo(f"bayd: {error}", err=True)
    sys.exit(1)
