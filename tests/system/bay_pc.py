"""A bay PC: the package on a machine with systemd, and around it a central server and a simulated range.

Server and range are processes of the same machine, run from a copy of the package of their own: what is
upgraded or removed is the daemon alone.
"""

import fcntl
import json
import secrets
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.system import coin_machines
from tests.system.systemd_machine import PATIENCE_S, SystemdMachine

ROOT = Path(__file__).parents[2]
BAY = "101"
PLC_BAY, RELAY_BAY = "102", "103"
NEW_BAY = "104"  # the server knows it, and at first no configuration
COASTING_S = 1.0  # five times as long as either takes
LONG_PAYOUT = 100  # the hopper is at it for a good ten seconds
PORT, CENTRAL_PORT = 8470, 4000
UNIT = "bayd.service"
READER = "b9f79d3710da1f3e"
CONFIG = "/etc/bayd/bayd.toml"
RANGE = "/srv/range"
DEFAULTS = "/etc/default/bayd"
MINUTE_S = 3  # a booked minute
STATE = "/var/lib/bayd"
_SECRET_CHARS = 16  # of a word in a credential's file
CARRIED = "/var/cache"  # where packages lie

_PLAIN = f"""
[central]
url = "http://127.0.0.1:{CENTRAL_PORT}"
poll_s = 0.5
timeout_s = 2
verify_timeout_s = 2
settle_s = 3
idempotency_keys = true
[play]
grace_minutes = 0
[balls]
registry = "{RANGE}/balls.csv"
[readers.{READER}]
link = "{RANGE}/tty-{READER}"
ports = {{ 1 = "{BAY}" }}
[dispensers.east]
link = "{RANGE}/tty-east"
[bays.{BAY}]
dispenser = "east"
"""

# The machines of `coin_machines`. The contact stays closed for long: whatever ends bayd does so in a pulse.
MACHINES = f"""
[central.walk_in]
phone_number = "1555010001"
[dispensers.plc]
driver = "modbus_rtu"
link = "{RANGE}/tty-plc"
[dispensers.relay]
driver = "pulse_relay"
board = "lcus"
link = "{RANGE}/tty-relay"
channels = 1
pulse_s = 10
[bays.{PLC_BAY}]
dispenser = "plc"
rfid = false
[bays.{RELAY_BAY}]
dispenser = "relay"
rfid = false
"""

# Of what `bayd init` wrote the site stays; the example's devices, servers and bays are another range's.
_EDITOR = """
import re, sys
from pathlib import Path
file = Path(sys.argv[1])
text = file.read_text()
site = re.search(r"(?ms)^\\[site\\].*?(?=^\\[)", text)[0]
file.write_text(site + Path("/srv/devices.toml").read_text())
"""

_READ_EVENTS = """
import sqlite3, sys
db = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
rows = db.execute("SELECT payload FROM events WHERE kind = ?"
    " AND batch NOT IN (SELECT batch FROM expired_batches) ORDER BY seq", sys.argv[2:])
print("[" + ",".join(payload for (payload,) in rows) + "]")
"""


class Packages:
    """Debian packages of the tree under test; later versions differ in what a test wants.

    Each is made once, for all who share the directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def make(self, version: str, edit: Callable[[Path], None] | None = None) -> Path:
        """The package of a version; `edit` may change its sources (a directory with bayd/ and hardware/)."""
        with (self._directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another worker may be at it
            return self._make(version, edit)

    def _make(self, version: str, edit: Callable[[Path], None] | None) -> Path:
        file = next(self._directory.glob(f"bayd_{version}_*.deb"), None)
        if file is not None:
            return file
        source = ROOT
        if edit is not None:
            source = self._directory / f"source-{version}"
            source.mkdir()
            copy = f"tar -C {ROOT} --exclude __pycache__ -c bayd hardware | tar -C {source} -x"
            subprocess.run(["bash", "-c", copy], check=True)
            edit(source)
        subprocess.run(
            [ROOT / "systemd/deb/build", "--quick", "--out", self._directory, "--version", version,
             "--libraries", self._directory / "libraries", "--source", source],
            check=True, capture_output=True,
        )  # fmt: skip
        return next(self._directory.glob(f"bayd_{version}_*.deb"))


class BayPc:
    def __init__(self, machine: SystemdMachine, packages: Packages) -> None:
        self.machine = machine
        self.packages = packages
        self.staff, self.screen = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self._guests = 0
        machine.hear((UNIT,), (PORT,))
        machine.keep_secret(self.staff, self.screen)

    # The machine

    def set_up_range(self, deb: Path) -> None:
        """Central server, reader and hopper, each a unit of its own."""
        machine = self.machine
        machine.run("dpkg-deb", "-x", self.carry(deb), "/opt/tools")
        (tool,) = machine.path("/opt/tools/opt/bayd/packaged").glob("*/bin/bayd")
        self._tool = "/" + str(tool.relative_to(machine.path("/")))
        files = machine.path(RANGE)
        files.mkdir(parents=True)
        plan = {
            "readers": {READER: {"1": BAY}}, "hoppers": {"east": [BAY]}, "directory": RANGE,
            "status_url": f"http://127.0.0.1:{PORT}/status",
        }  # fmt: skip
        (files / "range.json").write_text(json.dumps(plan))
        rows = "".join(f"E28011700000020A{number:08X},,2026-01-01T00:00:00Z,\n" for number in range(1, 200))
        (files / "balls.csv").write_text("epc,label,added_at,retired_at\n" + rows)
        self.start_range()
        self.start_central()

    def start_range(self) -> None:
        self.machine.run("rm", "-f", f"{RANGE}/truth.db", f"{RANGE}/range.sock")  # of an earlier one
        self.start_tool("range", "sim", "range", "--plan", f"{RANGE}/range.json")

    def start_central(self) -> None:
        self.start_tool(
            "central", "reference", "central", "--db", "/srv/central.db", "--port", CENTRAL_PORT,
            "--bay", BAY, "--bay", PLC_BAY, "--bay", RELAY_BAY, "--bay", NEW_BAY,
            "--minute-s", MINUTE_S,
        )  # fmt: skip

    def start_machines(self) -> None:
        """Those of `MACHINES`, with the libraries of the tools."""
        script = self.carry(Path(coin_machines.__file__))
        libraries = Path(self._tool).parents[1] / "lib"
        self.start("machines", f"--setenv=PYTHONPATH={libraries}", "/usr/bin/python3", script, RANGE)

    def start_operator(self, port: int, clients: Mapping[str, object]) -> None:
        """The mobile operator."""
        file = self.machine.path("/srv/qod-clients.json")
        file.write_text(json.dumps(clients))
        self.start_tool(
            "operator", "reference", "qod", "--db", "/srv/qod.db", "--port", port,
            "--clients", "/srv/qod-clients.json",
        )  # fmt: skip

    def start_tool(self, unit: str, *arguments: object) -> None:
        self.start(unit, self._tool, *arguments)

    def start(self, unit: str, *command: object) -> None:
        self.machine.run("systemd-run", "--quiet", "--collect", f"--unit={unit}", *command)

    def configure(self, more: str = "") -> None:
        """As a technician would: the file and the credentials."""
        tokens = f"{self.staff} staff reception\n{self.screen} screen {BAY}\n"
        self.give_credentials(api_tokens=tokens, site_key=secrets.token_hex(32))
        self.machine.path(DEFAULTS).write_text(f"BAYD_TIME_SCALE={60 // MINUTE_S}\n")
        self.write_config(more)

    def give_credentials(self, **texts: str) -> None:
        for name, text in texts.items():
            if name != "qod_client_id":
                self.machine.keep_secret(*(word for word in text.split() if len(word) >= _SECRET_CHARS))
            file = self.machine.path(f"/etc/bayd/credentials/{name}")
            file.touch(mode=0o600)
            file.write_text(text)

    def write_config(self, more: str = "") -> None:
        self.machine.path(CONFIG).write_text(_PLAIN + more)

    def let_edit(self) -> None:
        """Whoever calls `editor` in the machine names the bay and its devices."""
        self.machine.path("/srv/devices.toml").write_text(_PLAIN)
        editor = self.machine.path("/usr/local/bin/editor")
        editor.write_text("#!/usr/bin/python3\n" + _EDITOR)
        editor.chmod(0o755)

    def install(self, deb: Path) -> str:
        return self.machine.run("dpkg", "-i", self.carry(deb), env={"DEBIAN_FRONTEND": "noninteractive"})

    def dpkg_status(self) -> str:
        return self.machine.run("dpkg-query", "-W", "-f", "${db:Status-Status}", "bayd").strip()

    def carry(self, file: Path) -> str:
        """The same file inside: its /tmp is its own."""
        inside = f"{CARRIED}/{file.name}"
        shutil.copyfile(file, self.machine.path(inside))
        return inside

    # The service

    def systemctl(self, *words: str) -> str:
        return self.machine.run("systemctl", *words)

    def shown(self, name: str) -> str:
        return self.machine.show(UNIT, name)[name]

    @property
    def pid(self) -> int:
        return int(self.shown("MainPID"))

    def drop_in(self, name: str, text: str) -> None:
        """Other settings of the unit until the machine is off, or `text` is empty."""
        file = self.machine.path(f"/run/systemd/system/{UNIT}.d/{name}.conf")
        if text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"[Service]\n{text}\n")
        else:
            file.unlink(missing_ok=True)
        self.systemctl("daemon-reload")

    def kill(self) -> int:
        """SIGKILL, as the kernel's out-of-memory killer; the number of the process that was."""
        pid = self.pid
        self.systemctl("kill", "--kill-whom=main", "--signal=KILL", UNIT)
        return pid

    def open_up(self) -> None:
        """It runs, and its devices are found."""
        if self.shown("ActiveState") != "active":
            self.systemctl("start", UNIT)
        self.until_ready()
        self.until_rest()

    def until_ready(self, *, after_pid: int = 0) -> None:
        """The service is active with another main process than `after_pid`, and answers."""

        def is_ready() -> bool:
            shown = self.machine.show(UNIT, "MainPID", "ActiveState")
            return shown["ActiveState"] == "active" and int(shown["MainPID"]) not in (0, after_pid)

        self.machine.until(is_ready, f"for READY:\n{self.log()[-3000:]}")

    def log(self) -> str:
        return self.machine.journal("-o", "short-monotonic", "--no-hostname", "-u", UNIT)

    # The doors

    def status(self) -> dict[str, Any]:
        status, document = self.machine.http(PORT, "GET", "/status")
        assert status == 200
        return dict(document)

    def bay(self) -> dict[str, Any]:
        return dict(self.status()["bays"][BAY])

    def warnings(self) -> dict[str, str]:
        return {warning["code"]: warning["text"] for warning in self.status()["warnings"]}

    def until_bay(
        self, holds: Callable[[dict[str, Any]], bool], patience_s: float = PATIENCE_S
    ) -> dict[str, Any]:
        seen: dict[str, Any] = {}

        def look() -> bool:
            try:
                seen.update(self.bay())
            except OSError:
                return False
            return holds(seen)

        self.machine.until(look, seen, patience_s)
        return seen

    def until_rest(self) -> None:
        """The devices are found, and no payout is open."""
        devices = ("reader", "dispenser")
        self.until_bay(
            lambda bay: (
                bay["balls"]["paying"] == 0 and all(bay["devices"][name]["state"] == "ok" for name in devices)
            )
        )

    def press(
        self,
        act: str,
        body: Mapping[str, object],
        *,
        staff: bool = False,
        key: str | None = None,
        bay: str = BAY,
    ) -> tuple[int, dict[str, Any]]:
        token = self.staff if staff else self.screen
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key or uuid.uuid4().hex}
        return self.machine.http(PORT, "POST", f"/api/v1/bays/{bay}/{act}", dict(body), headers)

    def book(self, minutes: int = 200) -> str:
        """Reception books for a walk-in; the PIN on the slip."""
        self._guests += 1
        phone_number = f"15550102{self._guests:02d}"
        guest = {"name": f"Guest {self._guests}", "phoneNumber": phone_number}
        body = {
            "billingUser": guest, "bayNumber": BAY, "duration": minutes, "amount": 500,
            "paymentType": {"type": "CASH"}, "isDiscounted": False,
        }  # fmt: skip
        status, answer = self.machine.http(CENTRAL_PORT, "POST", "/session", body)
        assert status < 300, answer
        pin = str(answer["data"]["pin"])
        self.machine.keep_secret(phone_number, pin)
        return pin

    def play(self, minutes: int = 200) -> str:
        """A guest books and types the PIN; the session."""
        pin = self.book(minutes)
        self.until_bay(lambda bay: bay["booked"] >= 1)
        status, answer = self.press("pin", {"pin": pin})
        assert status == 200, answer
        return str(answer["session"]["id"])

    def walk_in(self, bay: str) -> None:
        """A guest without a booking."""
        sold = {"minutes": 200, "amount": 100, "reason": "walked in"}
        status, answer = self.press("walk-in", sold, staff=True, bay=bay)
        assert status == 200, answer

    def end_play(self, bay: str = BAY) -> None:
        status, answer = self.press("end", {"reason": "the test is over"}, staff=True, bay=bay)
        assert status == 200, answer

    def clear_bays(self) -> None:
        """Nobody plays any more, if the service runs."""
        if self.shown("ActiveState") == "active":
            for number, bay in self.status()["bays"].items():
                if bay["session"] is not None:
                    self.end_play(number)

    def dispense(self, balls: int) -> tuple[int, dict[str, Any]]:
        self.order("wait_for_balls", bay=BAY, balls=balls)
        return self.press("dispense", {"balls": balls})

    def start_every_motor(self) -> str:
        """A guest at each bay, and balls asked for at all of them; the session of the first."""
        session = self.play()
        for bay in (PLC_BAY, RELAY_BAY):
            self.walk_in(bay)
        assert self.dispense(LONG_PAYOUT)[0] == 200
        for bay, balls in ((PLC_BAY, 200), (RELAY_BAY, 25)):
            status, answer = self.press("dispense", {"balls": balls}, staff=True, bay=bay)
            assert status == 200, answer
        self.machine.until(lambda: self.moving() == {"east", "plc", "relay"}, "for the motors")
        return session

    # The range

    def order(self, do: str, **facts: object) -> dict[str, Any]:
        answer = self._ask("range.sock", {"do": do, **facts})
        assert "error" not in answer, answer
        return answer

    def _ask(self, name: str, question: Mapping[str, object]) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(self.machine.path(f"{RANGE}/{name}")))
            line.sendall(json.dumps(question).encode() + b"\n")
            answer: dict[str, Any] = json.loads(line.makefile().readline())
        return answer

    def moving(self) -> set[str]:
        """The machines whose motor runs, or whose contact is closed."""
        running = {**self.order("look")["running"], **self._ask(coin_machines.SOCKET, {})}
        return {name for name, runs in running.items() if runs}

    def still_moving(self) -> set[str]:
        """After a stop: a hopper lets the ball go that it holds, a PLC sees the word at its next scan."""
        deadline = time.monotonic() + COASTING_S
        while (moving := self.moving()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return moving

    def listened_at(self) -> float:
        """When the bay's antenna was last asked for balls, by the range's clock."""
        return float(self.order("look")["listened_at"].get(BAY, 0.0))

    def until_antenna_rests(self) -> None:
        """While a guest plays it is asked many times a second."""
        seen: list[float] = []

        def look() -> bool:
            seen.append(self.listened_at())
            return len(seen) > 20 and len(set(seen[-20:])) == 1

        self.machine.until(look, "for the antenna's rest")

    def balls_out(self) -> int:
        return int(self.order("look")["paid"]["east"])

    def motor_runs(self) -> bool:
        return bool(self.order("look")["running"]["east"])

    def events(self, kind: str) -> list[dict[str, Any]]:
        """From the journal itself, those that count."""
        found: list[dict[str, Any]] = json.loads(
            self.machine.run("/usr/bin/python3", "-c", _READ_EVENTS, f"{STATE}/journal.db", kind)
        )
        return found
