"""The screen's unit under a real systemd: what its browser may open."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.systemd_machine import SystemdMachine

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

SYSTEMD = Path(__file__).parents[2] / "systemd"
_NO_TOOLS = '"DeveloperToolsAvailability": 2'
STATE = "/var/lib/bayd-kiosk/109"
# Without a display or a terminal of its own.
_BARE = "[Service]\nPAMName=\nTTYPath=\nStandardInput=null\nTTYReset=no\nTTYVHangup=no\nTTYVTDisallocate=no\n"
_CAGE = """#!/bin/sh
cd $STATE_DIRECTORY
echo "$@" > arguments
python3 -m http.server 8470 --bind 127.0.0.1 --directory /usr/share/bayd/kiosk &
until python3 -c 'import socket; socket.create_connection(("127.0.0.1", 8470))'; do sleep 0.1; done
for page in file:///usr/share/bayd/kiosk/wait.html http://127.0.0.1:8470/wait.html file:///etc/hostname chrome://version
do /usr/bin/chromium --headless --no-sandbox --disable-gpu --user-data-dir=profile --dump-dom $page >> seen
done
touch done
sleep infinity
"""


@pytest.fixture
def machine() -> Iterator[SystemdMachine]:
    with SystemdMachine() as machine:
        for source, place in (
            ("bayd.sysusers", "/usr/lib/sysusers.d/bayd.conf"),
            ("bayd-kiosk@.service", "/etc/systemd/system/bayd-kiosk@.service"),
            ("kiosk/wait.html", "/usr/share/bayd/kiosk/wait.html"),
            ("kiosk/policies.json", "/usr/share/bayd/kiosk/policies.json"),
        ):
            # Without developer tools a browser tells nobody what it shows.
            text = (SYSTEMD / source).read_text().replace(_NO_TOOLS, _NO_TOOLS.replace("2", "0"))
            _put(machine, place, text)
        _put(machine, "/etc/systemd/system/bayd-kiosk@.service.d/bare.conf", _BARE)
        _put(machine, "/usr/bin/cage", _CAGE)
        machine.path("/usr/bin/cage").chmod(0o755)
        machine.run("systemd-sysusers")
        machine.run("systemctl", "daemon-reload")
        yield machine


def _put(machine: SystemdMachine, place: str, text: str) -> None:
    path = machine.path(place)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_browser_opens_the_screen_and_nothing_else(machine: SystemdMachine) -> None:
    machine.run("systemctl", "start", "bayd-kiosk@109")
    machine.until(machine.path(f"{STATE}/done").exists, "for the browser")
    seen = machine.path(f"{STATE}/seen").read_text()
    assert seen.count("<title>Waiting for the bay") == 2
    assert machine.name not in seen
    assert "Chromium" not in seen
    arguments = machine.path(f"{STATE}/arguments").read_text()
    assert arguments.startswith("-- /usr/bin/chromium --kiosk ")
    assert arguments.strip().endswith("wait.html#http://127.0.0.1:8470/bay/109")
    assert _NO_TOOLS in (SYSTEMD / "kiosk/policies.json").read_text()
    # Nobody else's browser is bound by it.
    assert machine.run("ls", "/etc/chromium/policies/managed") == ""
