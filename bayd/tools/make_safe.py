"""Stops every motor without the daemon: for the unit's ExecStopPost, and for emergencies.

It stops the dispensers that the daemon was started with, as the daemon kept them, and those that the
configuration names now. Of that it reads their tables alone, each by itself: whatever else is wrong there, a
motor that it names can be stopped, and one that runs also when the file is no TOML any more. All machines are
stopped at once, and the whole ends in time whatever a machine, a line or the opening of a port does: a thread
of its own ends the process, since a port that hangs in the kernel would hold everything else for ever.
"""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bayd.devices.dispensers import Lines
from bayd.devices.driven_dispensers import find_kept, place_of
from bayd.runtime.log_pipe import LogPipe, error_line
from bayd.settings.complaints import Complaint
from bayd.settings.dispensers import Dispenser as DispenserSettings
from bayd.settings.loading import complaints_of, read_tables
from hardware.dispenser import Dispenser, DispenserError

EX_UNAVAILABLE = 69
EX_CONFIG = 78
WITHIN_S = 3.0  # from the start of the process on
_LEAST_S = 1.0  # for the machines, however long a slow PC took to load the program
_RESERVE_S = 0.3  # before the end, for what is closed and said
_LAST_WORDS_S = 0.1
_TABLE = "dispensers"
_ADAPTER: TypeAdapter[DispenserSettings] = TypeAdapter(DispenserSettings)


def make_safe(config: Path) -> int:
    """Stop what can be stopped, say on stderr what cannot; the exit code."""
    end = time.monotonic() + max(WITHIN_S - _running_s(), _LEAST_S)
    said = LogPipe()
    machines, complaints = read_machines(config)
    for complaint in complaints:
        said.put(error_line(str(complaint)))
    if complaints and machines:
        said.put(error_line(f"known all the same, and being stopped: {', '.join(machines)}"))
    problems = dict.fromkeys(machines, "no answer in time: it may still run")

    def finish() -> int:
        left = dict(problems)  # the loop may just take one away
        for name, problem in left.items():
            said.put(error_line(f"{name}: {problem}"))
        said.flush(max(end - time.monotonic(), _LAST_WORDS_S))  # whoever reads them may hang as well
        return EX_UNAVAILABLE if left else EX_CONFIG if complaints else 0

    def end_it() -> None:
        code = EX_UNAVAILABLE
        try:
            code = finish()
        finally:
            os._exit(code)

    timer = threading.Timer(end - time.monotonic() - _LAST_WORDS_S, end_it)
    timer.daemon = True
    timer.start()
    asyncio.run(stop_all(machines, end - time.monotonic() - _RESERVE_S, problems))
    timer.cancel()
    return finish()


def read_machines(config: Path) -> tuple[dict[str, Dispenser], list[Complaint]]:
    """The dispensers that can be told from the daemon's last start and from the files; why others cannot."""
    tables, complaints = read_tables(config)
    now, more = _checked(tables.get(_TABLE, {}))
    complaints += more
    driven, more = _kept(config)
    complaints += more
    lines = Lines()
    machines: dict[str, Dispenser] = {}

    def add(name: str, settings: DispenserSettings) -> None:
        try:
            machines[name] = lines.make(settings)
        except ValueError as error:  # it does not go together with one before it
            complaints.append(Complaint(f"{_TABLE}.{name}", str(error)))

    # What runs comes first: it was started over these lines.
    for name, settings in driven.items():
        add(name, settings)
    for name, settings in now.items():
        if name not in driven:
            add(name, settings)
        elif settings.link != driven[name].link:
            add(f"{name} (as configured now)", settings)
    return machines, complaints


def _checked(raw: Any) -> tuple[dict[str, DispenserSettings], list[Complaint]]:
    if not isinstance(raw, Mapping):
        return {}, [Complaint(_TABLE, "should be a table")]
    good: dict[str, DispenserSettings] = {}
    complaints: list[Complaint] = []
    for name, table in raw.items():
        try:
            good[name] = _ADAPTER.validate_python(table)
        except ValidationError as error:
            complaints += complaints_of(error, _TABLE, name)
    return good, complaints


def _kept(config: Path) -> tuple[dict[str, DispenserSettings], list[Complaint]]:
    place = place_of(config, os.environ)
    if place is None:
        return {}, []
    try:
        return _checked(find_kept(place, config))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        return {}, [Complaint(str(place), f"does not tell what bayd was started with: {reason}")]


async def stop_all(machines: Mapping[str, Dispenser], limit_s: float, problems: dict[str, str]) -> None:
    """Stop every motor, all at once. `problems` holds those that are not known to stand, and why."""

    async def stop(name: str, machine: Dispenser) -> None:
        try:
            async with asyncio.timeout(limit_s):
                await machine.stop()
        except DispenserError as error:
            problems[name] = str(error)
        except TimeoutError:
            pass  # as it was
        else:
            del problems[name]

    async with asyncio.TaskGroup() as tasks:
        for name, machine in machines.items():
            tasks.create_task(stop(name, machine), name=f"stop-{name}")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_RESERVE_S / 2), asyncio.TaskGroup() as tasks:
            for name, machine in machines.items():
                tasks.create_task(machine.aclose(), name=f"close-{name}")


def _running_s() -> float:
    """Since this process was started: loading the program is part of the bound."""
    try:
        # proc(5): field 22 is the start in clock ticks after boot; the second may hold spaces.
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        began_s = int(fields[22 - 3]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - began_s)
