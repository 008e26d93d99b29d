"""`bayd make-safe` when the kernel does not answer."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.command import command, environment
from tests.cli.daemon import configuration
from tests.free_ports import free_port

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

WITHIN_S = 3.0


def test_a_port_that_never_opens_does_not_hold_it(tmp_path: Path) -> None:
    """An adapter whose driver hangs: its opening does not come back, and no thread can be cancelled in it."""
    master, slave = os.openpty()
    device = os.ttyname(slave)
    config = configuration(tmp_path, free_port(), f'[dispensers.east]\nlink = "{device}"\n')
    inject = ("-P", device, "-e", "inject=openat:delay_enter=100000000")
    began = time.monotonic()
    strace = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", "/dev/null", *inject, *command("make-safe", "--config", config)],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    try:
        assert strace.stderr is not None
        said = strace.stderr.readline()
        took_s = time.monotonic() - began
    finally:
        strace.kill()  # what it holds in the kernel ends with it
        strace.communicate(timeout=60)
        os.close(master)
        os.close(slave)
    assert said == "east: no answer in time: it may still run\n"
    assert took_s < 5 * WITHIN_S
