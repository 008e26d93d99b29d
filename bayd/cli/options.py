"""Options that many commands have. It loads nothing but click: `bayd status` starts at once."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

CONFIG_DEFAULT = Path("/etc/bayd/bayd.toml")
FILE = click.Path(dir_okay=False, path_type=Path)
DIRECTORY = click.Path(file_okay=False, path_type=Path)
JSON = click.option("--json", "as_json", is_flag=True)
DOCUMENT = click.option("--json", "as_json", is_flag=True, help="The daemon's own document.")


def config_option(text: str | None = None) -> Callable[[F], F]:
    """`--config`, with what the command takes from it: `config: Path`."""
    return click.option(
        "--config", type=FILE, default=CONFIG_DEFAULT, envvar="BAYD_CONFIG", show_default=True, help=text
    )


CONFIG = config_option()


def refuse_unreadable(config: Path) -> None:
    """A file that somebody named and that cannot be read ends the process: what stands in its place would
    lead to another daemon and journal than those that are meant.
    """
    from bayd.settings.loading import find_unreadable

    if config != CONFIG_DEFAULT and (complaint := find_unreadable(config)) is not None:
        click.echo(str(complaint), err=True)
        sys.exit(os.EX_CONFIG)
