"""The real command line: in a process of its own, or, where that shows no more, in this one."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from click.testing import CliRunner

from bayd.cli import main
from tests.let_out import hear, keep_secret

_TIMEOUT_S = 30
_SECRET_CHARS = 12


@dataclass(frozen=True, slots=True)
class Ran:
    code: int
    out: str
    err: str


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without anything that is bayd's, and what is given."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("BAYD_")
        and name not in ("CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "JOURNAL_STREAM")
    }
    return {**clean, "COLUMNS": "100", **(extra or {})}


def keep_credentials_secret(env: Mapping[str, str] | None) -> None:
    """What is given as a credential is no output of any command."""
    for name, value in (env or {}).items():
        if re.search(r"TOKEN|SECRET|KEY", name):
            keep_secret(*(word for word in re.split(r"[\s:]+", value) if len(word) >= _SECRET_CHARS))


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "bayd.cli", *map(str, arguments)]


def prepared(before: str, *arguments: object) -> list[str]:
    """As `command`, in a process that runs these statements first."""
    return [sys.executable, "-c", f"{before}\nfrom bayd.cli import main\nmain()", *map(str, arguments)]


def bayd(*arguments: object, env: Mapping[str, str] | None = None) -> Ran:
    keep_credentials_secret(env)
    done = subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_S,
        env=environment(env),
    )
    hear("command line", done.stdout + done.stderr)
    return Ran(done.returncode, done.stdout, done.stderr)


def bayd_here(*arguments: object, env: Mapping[str, str] | None = None, typed: str | None = None) -> Ran:
    """As `bayd`, without a process: the commands return what they would exit with."""
    keep_credentials_secret(env)
    wanted = environment(env)
    unset = dict.fromkeys(set(os.environ) - set(wanted))
    done = CliRunner(env={**unset, **wanted}).invoke(
        main, [str(argument) for argument in arguments], input=typed
    )
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    hear("command line", done.stdout + done.stderr)
    return Ran(done.exit_code, done.stdout, done.stderr)
