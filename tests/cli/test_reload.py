"""SIGHUP to a real daemon: readers and balls change at once, what is wrong changes nothing."""

import signal
from pathlib import Path

from tests.cli.daemon import configuration, free_port, started

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
