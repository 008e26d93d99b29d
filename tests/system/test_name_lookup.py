"""A name server that does not answer: it is asked for minutes, and nobody else waits for that."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.daemon import Service, configuration, started
from tests.free_ports import free_port

pytestmark = [pytest.mark.system, pytest.mark.timeout(150)]

ASKED = "the name server was asked"
_SILENT = f"""
import socket
heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
heard.bind(("127.0.0.1", 53))
print("listening", flush=True)
while heard.recv(512):
    print({ASKED!r}, flush=True)
"""
# resolv.conf(5): the longest time-out and the most attempts that it knows.
_RESOLVER = "nameserver 127.0.0.1\noptions timeout:30 attempts:5\n"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Service]:
    """In a network of its own, whose name server says nothing."""
    resolver, silent = tmp_path / "resolv.conf", tmp_path / "silent.py"
    resolver.write_text(_RESOLVER)
    silent.write_text(_SILENT)
    config = configuration(tmp_path, free_port())
    config.write_text(config.read_text().replace("http://127.0.0.1:", "http://central.example.com:"))
    script = (
        f"ip link set lo up && mount --bind {resolver} /etc/resolv.conf"
        f" && {{ setpriv --pdeathsig KILL {sys.executable} {silent} & }}"
        ' && exec "$@"'
    )
    apart = ("unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", script, "sh")
    with started("run", "--config", config, runner=apart) as service:
        yield service


def test_it_is_ready_and_stops_while_a_name_is_looked_up(daemon: Service) -> None:
    daemon.wait_for("event=bayd_ready")
    daemon.wait_for(ASKED)
    assert daemon.stop() == 0  # long before the look-up is over
