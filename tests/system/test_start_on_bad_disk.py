"""A start on a disk that takes no writes: it is said, and waited for."""

import json
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.cli.command import bayd_here
from tests.cli.daemon import Service, configuration, started
from tests.free_ports import free_port

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

READY = "event=bayd_ready"


def started_on(disk: Path, prepare: str, config: Path) -> AbstractContextManager[Service]:
    """`bayd run` with a file system of 512 KiB of its own at `disk`, prepared by a line of shell."""
    disk.mkdir()
    script = f'mount -t tmpfs -o size=512k tmpfs "{disk}" && cd "{disk}" && {prepare} && cd / && exec "$@"'
    apart = ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh")
    return started("run", "--config", config, runner=apart)


@pytest.mark.parametrize(
    ("prepare", "mend"),
    [
        ("mount -o remount,ro .", "mount -o remount,rw {disk}"),
        ("dd if=/dev/zero of=photos bs=4k status=none || true", "rm {disk}/photos"),
    ],
    ids=["read-only", "full"],
)
def test_it_waits_for_the_disk_and_goes_on_by_itself(tmp_path: Path, prepare: str, mend: str) -> None:
    port = free_port()
    config = configuration(tmp_path, port)
    url = f"http://127.0.0.1:{port}"
    disk = tmp_path / "state"
    with started_on(disk, prepare, config) as daemon:
        daemon.wait_for("event=waiting_for_journal")
        status = json.loads(bayd_here("status", "--url", url, "--json").out)
        assert [warning["code"] for warning in status["warnings"]] == ["waiting_for_journal"]
        subprocess.run(
            ["nsenter", "-t", str(daemon.process.pid), "-m", "sh", "-c", mend.format(disk=disk)], check=True
        )
        daemon.wait_for(READY)
        status = json.loads(bayd_here("status", "--url", url, "--json").out)
        assert status["bays"]["109"]["phase"] == "free"
        assert daemon.stop() == 0
