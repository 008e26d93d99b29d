"""An upgrade on trial: until a release acts for the first time, the previous one may take its place again.

Before a release starts for the first time, `systemd/deb/release` copies the journal to `on-trial.db` in the
service's state directory. Only while the copy has that name may it be put back without a person: whoever is
about to act gives it another name first, durably. What is written to the journal from then on is never undone
by a crash, not even by one between READY and the moment at which systemd hears of it.
"""

import os
from collections.abc import Mapping
from pathlib import Path

ON_TRIAL = "on-trial.db"  # as in systemd/deb/release
KEPT = "before-upgrade.db"


def is_on_trial(state_dir: Path, environment: Mapping[str, str]) -> bool:
    """Whether the previous release may still take this one's place by itself."""
    return any((directory / ON_TRIAL).exists() for directory in _directories(state_dir, environment))


def take_over(state_dir: Path, environment: Mapping[str, str]) -> bool:
    """From now on there is no way back by itself. Answers whether there was one. Raises OSError."""
    found = [_take_over(directory) for directory in _directories(state_dir, environment)]
    return any(found)


def _directories(state_dir: Path, environment: Mapping[str, str]) -> set[Path]:
    service = environment.get("STATE_DIRECTORY", "").partition(":")[0]
    return {state_dir.absolute(), *([Path(service)] if service else [])}


def _take_over(directory: Path) -> bool:
    copy = directory / ON_TRIAL
    try:
        if copy.stat().st_size:
            copy.rename(directory / KEPT)
        else:  # there was no journal to copy
            copy.unlink()
    except FileNotFoundError:
        return False
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return True
