"""`bayd run` and `bayd status`: a real daemon, and each way in which it does not start."""

import gc
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from bayd.cli.main import _kept_for_good
from tests.cli.command import bayd, bayd_here, command, environment
from tests.cli.daemon import configuration, started
from tests.free_ports import free_port

READY = "event=bayd_ready"


def wait_until_healthy(port: int) -> None:
    end = time.monotonic() + 30
    while bayd_here("status", "--url", f"http://127.0.0.1:{port}").code != 0:
        assert time.monotonic() < end, "it never answers"


def test_a_daemon_is_asked_and_stopped(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with started("run", "--config", configuration(tmp_path, port)) as daemon:
        daemon.wait_for(READY)
        asked = bayd("status", "--url", url, "--json")
        shown = bayd("status", env={"BAYD_URL": url})
        code = daemon.stop()
    document = json.loads(asked.out)
    assert (asked.code, shown.code, code) == (0, 0, 0)
    assert document["bays"]["109"]["phase"] == "free"
    assert document["time_scale"] == 1
    assert "offline_pin_off" in {warning["code"] for warning in document["warnings"]}
    assert "109" in shown.out
    assert "free" in shown.out
    assert "central server away" in shown.out
    assert bayd_here("status", "--url", url).code == 69


def test_the_status_is_watched_and_the_health_is_an_exit_code(tmp_path: Path) -> None:
    config = configuration(tmp_path, free_port())
    assert bayd_here("health", "--config", config).code == 69
    with started("run", "--config", config) as daemon:
        daemon.wait_for(READY)
        well = bayd_here("health", "--config", config)
        assert (well.code, well.out) == (0, "ready\n")
        with started("status", "--watch", "--json", "--config", config) as watch:
            assert "free" in watch.wait_for("bays")
            daemon.stop()
            assert "no bayd answers" in watch.wait_for("error")
            assert watch.stop(signal.SIGINT) in (0, 69)


def test_what_a_start_loads_is_never_looked_through_for_garbage() -> None:
    before = gc.get_freeze_count()
    with _kept_for_good():
        assert not gc.isenabled()
        loaded: list[list[int]] = [[] for _ in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(loaded)


def test_sigint_stops_it_as_well(tmp_path: Path) -> None:
    with started("run", "--config", configuration(tmp_path, free_port())) as daemon:
        daemon.wait_for(READY)
        assert daemon.stop(signal.SIGINT) == 0
        assert not [line for line in daemon.said if "Traceback" in line or "level=error" in line]


def test_a_killed_daemon_starts_again(tmp_path: Path) -> None:
    config = configuration(tmp_path, free_port())
    codes = []
    for number in (signal.SIGKILL, signal.SIGTERM):
        with started("run", "--config", config) as daemon:
            daemon.wait_for(READY)
            codes.append(daemon.stop(number))
    assert codes == [-signal.SIGKILL, 0]


def test_the_configuration_is_taken_from_the_variable(tmp_path: Path) -> None:
    config = configuration(tmp_path, free_port())
    with started("run", env={"BAYD_CONFIG": str(config)}) as daemon:
        assert str(config) in daemon.wait_for("event=bayd_starting")


def test_under_journald_lines_have_priorities_and_no_times(tmp_path: Path) -> None:
    config = configuration(tmp_path, free_port())
    with started("run", "--config", config, env={"JOURNAL_STREAM": "8:1"}) as daemon:
        assert daemon.wait_for(READY).startswith("<6>level=info ")


def test_systemd_is_told_of_start_and_stop(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(30)
        env = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        with started("run", "--config", configuration(tmp_path, free_port()), env=env) as daemon:
            daemon.wait_for(READY)
            daemon.stop()
        told = ""
        while "READY=1" not in told:
            told = listener.recv(4096).decode()
        while "STOPPING=1" not in told:
            told = listener.recv(4096).decode()
    assert "STOPPING=1" in told


def test_before_it_acts_a_new_release_makes_its_upgrade_final(tmp_path: Path) -> None:
    """And where it cannot, it neither says READY nor answers anybody."""
    port = free_port()
    config, state = configuration(tmp_path, port), tmp_path / "state"
    (state / "journal-of-0.1.0.db" / "in the way").mkdir(parents=True)
    (state / "on-trial-of-0.1.0.db").write_text("a copy of the journal")
    refused = bayd("run", "--config", config)
    assert (refused.code, READY in refused.err, "Traceback" in refused.err) == (1, False, False)
    (state / "journal-of-0.1.0.db" / "in the way").rmdir()
    (state / "journal-of-0.1.0.db").rmdir()
    with started("run", "--config", config) as daemon:
        daemon.wait_for(READY)
        assert not (state / "on-trial-of-0.1.0.db").exists()
        assert (state / "journal-of-0.1.0.db").read_text() == "a copy of the journal"


def test_a_journald_that_reads_nothing_hangs_no_bay(tmp_path: Path) -> None:
    """Thousands of lines, and nobody takes one: every request is answered, and SIGTERM ends it."""
    port = free_port()
    ours, theirs = socket.socketpair()
    command_line = command("run", "--config", configuration(tmp_path, port))
    with ours:
        with theirs:
            process = subprocess.Popen(
                command_line, stdin=subprocess.DEVNULL, stderr=theirs.fileno(), env=environment()
            )
        try:
            wait_until_healthy(port)
            for _ in range(12):
                asked = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                for number in range(100):
                    asked.request("GET", f"/nowhere/{number}/{'x' * 20}")
                    assert asked.getresponse().read()
                asked.close()
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait(30)


def test_what_ends_it_is_an_error_in_the_journal(tmp_path: Path) -> None:
    wrong = configuration(tmp_path, free_port(), "[site]\nnmae = 1\n")
    ran = bayd("run", "--config", wrong, env={"JOURNAL_STREAM": "8:1"})
    assert ran.code == 78
    assert ran.err.startswith("<3>level=error event=configuration_wrong ")
    (tmp_path / "state").write_text("a file stands in the way")
    ran = bayd("run", "--config", configuration(tmp_path, free_port()), env={"JOURNAL_STREAM": "8:1"})
    assert ran.code == 1
    assert [line[:3] for line in ran.err.splitlines() if "bayd_failed" in line] == ["<3>"]


# What keeps it from starting.


def test_a_wrong_configuration_is_78(tmp_path: Path) -> None:
    config = configuration(tmp_path, free_port(), "[site]\nnmae = 1\n")
    ran = bayd("run", "--config", config)
    assert ran.code == 78
    assert 'setting=site.nmae reason="is no setting"' in ran.err
    assert "Traceback" not in ran.err


def test_a_missing_configuration_is_78(tmp_path: Path) -> None:
    ran = bayd("run", "--config", tmp_path / "nowhere.toml")
    assert ran.code == 78
    assert "nowhere.toml" in ran.err
    assert "cannot be read" in ran.err


def test_a_wrong_credential_is_left_out_and_is_not_shown(tmp_path: Path) -> None:
    """Nobody stands by when a restart takes it up: the bays start without."""
    config = configuration(tmp_path, free_port())
    secrets = {"BAYD_SITE_KEY": "abcdef", "BAYD_API_TOKENS": "abcde staff desk"}
    assert bayd_here("check-config", config, env=secrets).code == 78
    with started("run", "--config", config, env=secrets) as daemon:
        daemon.wait_for(READY)
        shown = bayd_here("status", "--config", config, "--json").out
        codes = [warning["code"] for warning in json.loads(shown)["warnings"]]
        daemon.stop()
    assert codes.count("credential_refused") == 2
    assert {"offline_pin_off", "staff_login_off"} <= set(codes)
    said = "".join(daemon.said) + shown
    assert "credential site_key" in said
    assert "abcde" not in said


def test_an_address_beyond_loopback_without_tls_is_78(tmp_path: Path) -> None:
    config = configuration(tmp_path, free_port())
    config.write_text(config.read_text().replace("127.0.0.1", "0.0.0.0", 1))
    ran = bayd("run", "--config", config)
    assert ran.code == 78
    assert "beyond loopback and without TLS" in ran.err
    checked = bayd_here("check-config", config)
    assert checked.code == 78
    assert checked.err.count("http.listen") >= 1


def test_a_webhook_beyond_loopback_without_tls_is_78(tmp_path: Path) -> None:
    more = (
        '[qod]\nbase_url = "http://127.0.0.1:1/qod/v0"\napplication_server = "203.0.113.10"\n'
        '[qod.webhook]\nurl = "https://bay.example.com/qod"\nlisten = "0.0.0.0:8471"\n'
    )
    config = configuration(tmp_path, 8470, more)
    checked = bayd_here("check-config", config)
    assert checked.code == 78
    assert checked.err.startswith("qod.webhook.listen: 0.0.0.0:8471 is beyond loopback")
    assert "trusted-lan" in checked.err
    config.write_text(config.read_text().replace("0.0.0.0", "127.0.0.1"))
    assert bayd_here("check-config", config).code == 0


def test_a_missing_credential_of_qod_is_a_warning_that_names_it(tmp_path: Path) -> None:
    more = '[qod]\nbase_url = "http://127.0.0.1:1/qod/v0"\napplication_server = "203.0.113.10"\n'
    config = configuration(tmp_path, 8470, more)
    checked = bayd_here("check-config", config, env={"BAYD_QOD_CLIENT_ID": "bay-one"})
    assert (checked.code, checked.out) == (0, f"{config}: good\n")
    assert "no credential qod_client_secret, qod_private_key:" in checked.err
    as_json = bayd_here("check-config", "--json", config)
    assert (as_json.code, as_json.out, "qod_client_id" in as_json.err) == (0, "[]\n", True)
    config.write_text(config.read_text().replace("[qod]", '[qod]\ndialect = "camara-1.1"'))
    given = {"BAYD_QOD_CLIENT_ID": "bay-one", "BAYD_QOD_CLIENT_SECRET": "example-secret-0123"}
    assert bayd_here("check-config", config, env=given).err == ""


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:99999", ":8470", "127.0.0.1:http"])
def test_an_address_that_is_none_is_78(tmp_path: Path, address: str) -> None:
    config = configuration(tmp_path, 8470)
    config.write_text(config.read_text().replace("127.0.0.1:8470", address, 1))
    checked = bayd_here("check-config", config)
    assert checked.code == 78
    assert checked.err.startswith("http.listen: ")


def test_an_address_in_use_is_1_and_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = bayd("run", "--config", configuration(tmp_path, port))
    assert ran.code == 1
    assert str(port) in ran.err
    assert "Traceback" not in ran.err


def test_a_second_daemon_on_the_same_journal_is_1_and_leaves_the_first_alone(tmp_path: Path) -> None:
    config = configuration(tmp_path, free_port())
    with started("run", "--config", config) as daemon:
        daemon.wait_for(READY)
        second = bayd("run", "--config", config)
        assert daemon.process.poll() is None
    assert second.code == 1
    assert "journal.db" in second.err
    assert "Traceback" not in second.err


def test_a_disk_that_does_not_take_the_journal_is_waited_for(tmp_path: Path) -> None:
    """It says so at every door, refuses every press, and goes on by itself."""
    port = free_port()
    config = configuration(tmp_path, port)
    in_the_way = tmp_path / "state" / "journal.db"
    in_the_way.mkdir(parents=True)
    url = f"http://127.0.0.1:{port}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        with started("run", "--config", config, env={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as daemon:
            assert "journal.db" in daemon.wait_for("event=waiting_for_journal")
            told = systemd.recv(4096).decode()
            while "STATUS" not in told:
                told += systemd.recv(4096).decode()
            assert told.startswith("READY=1")
            assert "STATUS=waiting for the journal: cannot open" in told
            assert "WATCHDOG=1" in told
            asked = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            answers = {}
            calls = ("GET /healthz", "GET /readyz", "POST /api/v1/bays/109/start", "GET /bay/109")
            for method, path in (call.split() for call in calls):
                asked.request(method, path)
                answer = asked.getresponse()
                answers[path] = answer.status, "journal" in answer.read().decode()
            asked.close()
            assert answers == {
                "/healthz": (200, False), "/readyz": (503, True), "/bay/109": (503, True),
                "/api/v1/bays/109/start": (503, True),
            }  # fmt: skip
            status = json.loads(bayd_here("status", "--url", url, "--json").out)
            assert [warning["code"] for warning in status["warnings"]] == ["waiting_for_journal"]
            assert bayd_here("health", "--config", config).code == 1
            in_the_way.rmdir()
            daemon.wait_for(READY)
            assert bayd_here("health", "--config", config).code == 0
            assert "109" in json.loads(bayd_here("status", "--url", url, "--json").out)["bays"]
            assert daemon.stop() == 0


def test_a_state_directory_that_cannot_be_made_is_1(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file stands in the way")
    ran = bayd("run", "--config", configuration(tmp_path, free_port()))
    assert ran.code == 1
    assert str(tmp_path / "state") in ran.err
    assert "Traceback" not in ran.err


# `bayd status` when something else answers, or nobody.


def test_nobody_answers_is_69(tmp_path: Path) -> None:
    ran = bayd_here("status", "--url", f"http://127.0.0.1:{free_port()}", "--json")
    assert ran.code == 69
    assert ran.out == ""
    assert ran.err.startswith("no bayd answers (http://127.0.0.1:")


def test_an_address_that_is_none_is_69() -> None:
    assert bayd_here("status", "--url", "nonsense").code == 69


def test_something_else_answers_is_69(tmp_path: Path) -> None:
    with started("reference", "central", "--db", tmp_path / "c.db", "--port", "0") as central:
        url = central.wait_for("listening on ").split()[-1]
        ran = bayd_here("status", "--url", url)
    assert ran.code == 69
    assert "not bayd's" in ran.err


def test_a_machine_without_time_zones_has_a_daemon_all_the_same(tmp_path: Path) -> None:
    """As a small Debian has it: no tzdata. Nobody knows the site's time of day, and play needs none."""
    nothing = tmp_path / "nothing/tzdata"
    nothing.mkdir(parents=True)
    (nothing / "__init__.py").touch()  # stands before the package that this environment may have
    path = os.pathsep.join([str(nothing.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    config = configuration(tmp_path, free_port(), '[site]\ntimezone = "Asia/Kolkata"\n')
    with started("run", "--config", config, env={"PYTHONTZPATH": "", "PYTHONPATH": path}) as running:
        running.wait_for("bayd_ready")
        assert running.stop() == 0
