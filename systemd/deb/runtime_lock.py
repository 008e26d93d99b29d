"""Writes the part of requirements.lock that the daemon needs at run time, hashes included, to stdout.

`python runtime_lock.py PYPROJECT LOCK`, in an environment where the lock is installed: what needs what is
asked of the installed packages, which versions and hashes of the lock.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_NOT_NEEDED = {"pip"}  # of sqlite-utils' own command line


def main(pyproject: Path, lock: Path) -> None:
    wanted: set[tuple[str, str]] = set()  # name, extra
    project = tomllib.loads(pyproject.read_text())["project"]
    waiting = [Requirement(text) for text in project["dependencies"]]
    while waiting:
        requirement = waiting.pop()
        for extra in ("", *requirement.extras):
            key = (canonicalize_name(requirement.name), extra)
            if key not in wanted:
                wanted.add(key)
                waiting += _needs(requirement.name, extra)
    names = {name for name, _ in wanted} - _NOT_NEEDED
    blocks = {canonicalize_name(name): block for name, block in _blocks(lock.read_text())}
    if missing := names - blocks.keys():
        sys.exit(f"{lock} lacks {', '.join(sorted(missing))}: make lock")
    sys.stdout.writelines(f"{blocks[name]}\n" for name in sorted(names))


def _needs(name: str, extra: str) -> Iterator[Requirement]:
    for text in requires(name) or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement


def _blocks(lock: str) -> Iterator[tuple[str, str]]:
    """Each requirement with its lines of hashes."""
    for match in re.finditer(r"^(?P<name>[\w.-]+)==[^\\\n]*(?:\\\n[^\\\n]*)*", lock, re.MULTILINE):
        yield match["name"], match[0]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
