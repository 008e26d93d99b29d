"""SIGHUP to a real daemon: readers and balls change at once, what is wrong changes nothing."""

import json
import signal
import socket
from pathlib import Path

from tests.cli.command import bayd_here
from tests.cli.daemon import Service, configuration, started
from tests.free_ports import free_port

EPC = "E28011700000020A00000001"


def test_readers_and_balls_change_and_a_mistake_changes_nothing(tmp_path: Path) -> None:
    port = free_port()
    registry = tmp_path / "balls.csv"
    registry.write_text("epc,label,added_at,retired_at\n")
    balls = f'[balls]\nregistry = "{registry}"\n'
    config = configuration(tmp_path, port, balls)
    reader = f'[readers.west]\nlink = "socket://127.0.0.1:{free_port()}"\n'
    with started("run", "--config", config) as daemon:
        daemon.wait_for("event=bayd_ready")
        config.write_text(config.read_text() + reader + 'power = 33\nports = { 1 = "109" }\n')
        daemon.process.send_signal(signal.SIGHUP)
        refused = daemon.wait_for("event=reload_refused")
        assert "setting=readers.west" in refused
        assert "33 dBm is more than the 26 dBm" in refused
        registry.write_text(f"epc,label,added_at,retired_at\n{EPC},new,2026-01-01T00:00:00Z,\n")
        good = config.read_text().replace("power = 33", "power = 20")
        config.write_text(good.replace(f'["127.0.0.1:{port}"]', f'["0.0.0.0:{port}"]'))
        daemon.process.send_signal(signal.SIGHUP)
        assert "beyond loopback and without TLS" in daemon.wait_for("setting=http.listen")
        config.write_text(good)
        daemon.process.send_signal(signal.SIGHUP)
        reloaded = daemon.wait_for("event=reloaded")
        assert "readers" in reloaded
        assert "ball registry" in reloaded
        assert "reader=west" in daemon.wait_for("event=reader_lost"), "its driver was not started"
        assert not [line for line in daemon.said if "event=restart_needed" in line]
        assert daemon.stop() == 0


def warnings(config: Path) -> dict[str, str]:
    document = json.loads(bayd_here("status", "--config", config, "--json").out)
    return {warning["code"]: warning["text"] for warning in document["warnings"]}


def reload(daemon: Service, config: Path, text: str) -> str:
    """The line that says what is in force now."""
    config.write_text(text)
    seen = len(daemon.said)
    daemon.process.send_signal(signal.SIGHUP)
    return daemon.wait_for("event=reloaded", after=seen)


def test_what_wants_a_restart_is_shown_until_it_holds(tmp_path: Path) -> None:
    """Compared with what runs, not with the file before: a second SIGHUP does not forget it."""
    config = configuration(tmp_path, free_port())
    good = config.read_text()
    other = good + '[bays.110]\nrfid = false\n[site]\nname = "Elsewhere"\n[play]\npin_tries = 3\n'
    with started("run", "--config", config) as daemon:
        daemon.wait_for("event=bayd_ready")
        assert "play.pin_tries" in reload(daemon, config, other)
        assert warnings(config)["restart_needed"].endswith("until a restart: site.name, bays.110.")
        reload(daemon, config, other)
        assert "bays.110" in warnings(config)["restart_needed"]
        reload(daemon, config, good)
        assert "restart_needed" not in warnings(config)
        assert daemon.stop() == 0


def test_a_new_bay_is_taken_up_by_a_restart_while_nobody_plays(tmp_path: Path) -> None:
    """Only where somebody starts it again: systemd gives its service a runtime directory."""
    config = configuration(tmp_path, free_port())
    more = config.read_text() + "[bays.110]\nrfid = false\n"
    with started("run", "--config", config, env={"RUNTIME_DIRECTORY": str(tmp_path)}) as daemon:
        daemon.wait_for("event=bayd_ready")
        reload(daemon, config, config.read_text() + '[site]\nname = "Elsewhere"\n')
        assert "restart_pending" not in warnings(config)
        reload(daemon, config, more)
        assert "bays.110" in daemon.wait_for("event=restarting_while_idle")
        assert daemon.process.wait(30) == 0
    with started("run", "--config", config, env={"RUNTIME_DIRECTORY": str(tmp_path)}) as daemon:
        assert "bays=2" in daemon.wait_for("event=bayd_ready")
        assert not {"restart_needed", "restart_pending"} & set(warnings(config))
        assert daemon.stop() == 0


def test_the_log_level_and_a_bays_own_settings_hold_at_once(tmp_path: Path) -> None:
    config = configuration(tmp_path, free_port())
    good = config.read_text()
    with started("run", "--config", config) as daemon:
        daemon.wait_for("event=bayd_ready")
        applied = reload(daemon, config, good.replace("rfid = false", 'rfid = false\nmode = "locked"'))
        assert "bays.109.mode" in applied
        assert "restart_needed" not in warnings(config)
        assert "log.level" in reload(daemon, config, good + '[log]\nlevel = "debug"\n')
        seen = len(daemon.said)
        config.write_text(good + '[log]\nlevel = "error"\n[site]\nname = "Elsewhere"\n')
        daemon.process.send_signal(signal.SIGHUP)
        while "restart_needed" not in warnings(config):
            pass
        assert daemon.stop() == 0
    assert not [line for line in daemon.said[seen:] if "level=info" in line or "level=warning" in line]


def test_a_refusal_stays_in_the_status_of_systemd(tmp_path: Path) -> None:
    config = configuration(tmp_path, free_port())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "3000000"}
        with started("run", "--config", config, env=env) as daemon:
            daemon.wait_for("event=bayd_ready")
            config.write_text("[site]\nnmae = 1\n")
            daemon.process.send_signal(signal.SIGHUP)
            while "READY=1\nSTATUS=the old configuration stays" not in systemd.recv(4096).decode():
                pass
            kept = [systemd.recv(4096).decode() for _ in range(3)]  # as the watchdog goes on
            assert daemon.stop() == 0
    assert all("site.nmae: is no setting" in told for told in kept), kept


def test_a_list_of_balls_that_is_missing_stops_no_bay_and_is_taken_up_later(tmp_path: Path) -> None:
    registry = tmp_path / "balls.csv"
    reader = f'[readers.west]\nlink = "socket://127.0.0.1:{free_port()}"\nports = {{ 1 = "109" }}\n'
    config = configuration(tmp_path, free_port(), f'{reader}[balls]\nregistry = "{registry}"\n')
    assert bayd_here("check-config", config).err.startswith("balls.registry: ")
    assert (
        bayd_here("check-config", "--for-start", config).code == 0
    )  # nor does it keep a release from coming
    with started("run", "--config", config) as daemon:
        daemon.wait_for("event=bayd_ready")
        assert "balls.csv" in daemon.wait_for("event=ball_registry_unusable")
        assert "No such file" in warnings(config)["no_ball_registry"]
        registry.write_text(f"epc,label,added_at,retired_at\n{EPC},new,2026-01-01T00:00:00Z,\n")
        assert "ball registry" in reload(daemon, config, config.read_text())
        assert "no_ball_registry" not in warnings(config)
        registry.write_text("nonsense")
        daemon.process.send_signal(signal.SIGHUP)
        assert "setting=balls.registry" in daemon.wait_for("event=reload_refused")
        assert "no_ball_registry" not in warnings(config), "the list that runs is better than none"
        assert daemon.stop() == 0
