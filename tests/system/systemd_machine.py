"""A machine with a real systemd as PID 1, in namespaces of its own over an overlay of `/`.

Whatever is installed, started or broken in it stays in a tmpfs and goes away with it. It boots in about a
second, needs root, and nothing but systemd and util-linux. Its loopback network is its own: `connect` reaches
it from outside. Devices are what a process inside makes of the machine's own ptys.
"""

import contextlib
import ctypes
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tests.let_out import hear, keep_secret

T = TypeVar("T")

PATIENCE_S = 60.0
_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 0.3  # between two looks
_CLONE_NEWNET = 0x4000_0000
_CLEAN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Units that belong to real hardware, or change what machines share with their host.
_MASKED = (
    "systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket"
    " systemd-udev-trigger.service"
    " systemd-sysctl.service systemd-modules-load.service systemd-timesyncd.service systemd-firstboot.service"
    " systemd-binfmt.service systemd-remount-fs.service systemd-networkd.service systemd-resolved.service"
    " systemd-logind.service proc-sys-fs-binfmt_misc.automount getty.target console-getty.service"
    " getty-static.service apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer"
    " dpkg-db-backup.timer man-db.timer cron.service "
)

# $1 is the (empty) directory for the tmpfs, $2 the machine's name.
_BOOT = r"""
set -eu
base=$1; name=$2
mount -t tmpfs -o mode=755 tmpfs "$base"
mkdir "$base"/upper "$base"/work "$base"/root
mount -t overlay overlay -o lowerdir=/,upperdir="$base"/upper,workdir="$base"/work "$base"/root
cd "$base"/root
rm -rf etc/systemd/system/*.wants etc/machine-id
: > etc/machine-id; : > etc/fstab; echo "$name" > etc/hostname
for unit in MASKED; do ln -sf /dev/null etc/systemd/system/$unit; done
rm -rf var/lib/bayd etc/bayd opt/bayd
# No lists of what could be fetched: nothing is, and apt is quick without them.
rm -rf var/lib/apt/lists; mkdir -p var/lib/apt/lists/partial
mount -t proc proc proc
mount --bind proc/sys proc/sys; mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for node in null zero full random urandom tty; do : > dev/$node; mount --bind /dev/$node dev/$node; done
mkdir dev/pts dev/shm
# Terminals belong to dialout (20), as serial ports do.
mount -t devpts -o newinstance,ptmxmode=0666,mode=660,gid=20 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd; ln -s /proc/self/fd/0 dev/stdin; ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mkdir .host
pivot_root . .host
umount -l /.host; rmdir /.host
mount --make-rshared /
exec env -i container="$name" PATH=PATHS /lib/systemd/systemd --unit=multi-user.target --log-target=journal
""".replace("MASKED", _MASKED).replace("PATHS", _CLEAN_PATH)


class MachineError(Exception):
    """The machine did not come up, or a command in it failed; the text is what it said."""


class SystemdMachine:
    """Use as a context manager. Everything of it is gone afterwards, however it ended."""

    def __init__(self) -> None:
        self.name = f"bayd-{secrets.token_hex(4)}"
        self._base = Path(tempfile.mkdtemp(prefix=f"{self.name}-"))
        self._cgroup: Path | None = None
        self._launcher: subprocess.Popen[bytes] | None = None
        self._leader = 0
        self._secrets: set[str] = set()
        self._heard: tuple[str, ...] = ()
        self._answering: frozenset[int] = frozenset()

    def __enter__(self) -> "SystemdMachine":
        try:
            self._boot()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _boot(self) -> None:
        self._cgroup = _cgroup2() / self.name
        self._cgroup.mkdir()
        join = f"echo $$ > {self._cgroup}/cgroup.procs"
        # Also when these tests are killed nothing of it stays.
        spaces = "--pid --mount --uts --ipc --net --cgroup --propagation private"
        unshare = f"exec setpriv --pdeathsig KILL unshare --fork --kill-child {spaces}"
        with (self._base.parent / f"{self._base.name}.log").open("wb") as log:
            self._launcher = subprocess.Popen(
                ["bash", "-c", f'{join} && {unshare} bash -c "$0" boot "$@"',
                 _BOOT, str(self._base), self.name],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._leader = self.until(self._find_leader)
        self.until(lambda: self._state() in ("running", "degraded"))

    def _find_leader(self) -> int:
        assert self._launcher is not None
        if self._launcher.poll() is not None:
            raise MachineError(f"it did not boot: {self._log.read_text(errors='replace')}")
        pid = self._launcher.pid
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            for child in children:
                if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                    return int(child)
        return 0

    @property
    def _log(self) -> Path:
        return self._base.parent / f"{self._base.name}.log"

    def _state(self) -> str:
        return self.ask("systemctl", "is-system-running").stdout.strip()

    def hear(self, units: Collection[str], ports: Collection[int]) -> None:
        """No secret may be in what these units log, and in what is answered at these ports."""
        self._heard, self._answering = tuple(units), frozenset(ports)

    def keep_secret(self, *secrets_: str) -> None:
        """As long as the machine is there: it may serve many tests."""
        self._secrets |= set(secrets_)
        keep_secret(*secrets_)

    def close(self) -> None:
        """All that it has logged is heard, then it is switched off."""
        try:
            if self._leader and self._heard:
                keep_secret(*self._secrets)
                units = [word for unit in self._heard for word in ("-u", unit)]
                self.ask("journalctl", "--sync")
                hear("journal of the machine", self.ask("journalctl", "-o", "cat", *units).stdout)
        finally:
            self._switch_off()

    def _switch_off(self) -> None:
        """Kill all that runs in it: with its first process the kernel ends every other."""
        if self._leader:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._leader, signal.SIGKILL)
        if self._launcher is not None:
            if not self._leader:
                self._launcher.kill()
            self._launcher.wait(PATIENCE_S)
        if self._cgroup is not None and self._cgroup.exists():
            self.until(lambda: "populated 0" in (self._cgroup_of() / "cgroup.events").read_text())
            for directory, _, _ in os.walk(self._cgroup, topdown=False):
                Path(directory).rmdir()
        self._log.unlink(missing_ok=True)
        shutil.rmtree(self._base, ignore_errors=True)

    def _cgroup_of(self) -> Path:
        assert self._cgroup is not None
        return self._cgroup

    # Commands

    def ask(self, *command: object, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command inside as root, whatever it answers."""
        enter = ("nsenter", "-t", str(self._leader), "-m", "-u", "-i", "-n", "-p", "-C")
        variables = {"PATH": _CLEAN_PATH, "LANG": "C.UTF-8", "HOME": "/root", "SYSTEMD_PAGER": ""}
        return subprocess.run(
            [*enter, *map(str, command)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            env={**variables, **(env or {})}, timeout=2 * PATIENCE_S, cwd="/",
        )  # fmt: skip

    def run(self, *command: object, env: Mapping[str, str] | None = None) -> str:
        """Run a command inside as root; its output. Raises MachineError when it fails."""
        done = self.ask(*command, env=env)
        if done.returncode != 0:
            said = f"{done.stdout}{done.stderr}"
            raise MachineError(f"{' '.join(map(str, command))}: {done.returncode}\n{said}")
        return done.stdout

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """Properties of a unit, as systemd has them."""
        lines = self.run("systemctl", "show", unit, "-p", ",".join(properties)).splitlines()
        return dict(line.partition("=")[::2] for line in lines)

    def journal(self, *options: object) -> str:
        """As `journalctl` gives it, also what was said last and journald has yet to take up."""
        self.run("journalctl", "--sync")
        return self.run("journalctl", *options)

    def until(self, holds: Callable[[], T], what: object = "", patience_s: float = PATIENCE_S) -> T:
        """The first answer that is true. Raises MachineError with `what` as it is then."""
        deadline = time.monotonic() + patience_s
        while True:
            looked_at = time.monotonic()
            if answer := holds():
                return answer
            now = time.monotonic()
            if now > deadline:
                raise MachineError(f"waited {patience_s:g} s in vain {what}")
            # What takes long to look at is looked at less often: others need the time.
            time.sleep(min(max(_PAUSE_S, 4 * (now - looked_at)), _LONGEST_PAUSE_S))

    # Files and network

    def path(self, inside: str) -> Path:
        """A file of the machine, as it is reached from outside."""
        return Path(f"/proc/{self._leader}/root{inside}")

    def pid_outside(self, pid_inside: int) -> int:
        """The number of a process of the machine as its host sees it."""
        for status in self._pids():
            words = next(
                line for line in status.read_text().splitlines() if line.startswith("NSpid:")
            ).split()
            if len(words) > 2 and int(words[-1]) == pid_inside:
                return int(words[1])
        raise MachineError(f"there is no process {pid_inside}")

    def _pids(self) -> Iterator[Path]:
        for procs in self._cgroup_of().rglob("cgroup.procs"):
            for pid in procs.read_text().split():
                yield Path(f"/proc/{pid}/status")

    def connect(self, port: int) -> socket.socket:
        """A connection to a port of the machine's loopback."""
        found: list[socket.socket | OSError] = []

        def enter() -> None:
            libc = ctypes.CDLL(None, use_errno=True)
            fd = os.open(f"/proc/{self._leader}/ns/net", os.O_RDONLY)
            try:
                if libc.setns(fd, _CLONE_NEWNET) != 0:  # of this thread alone
                    found.append(OSError(ctypes.get_errno(), "setns"))
                    return
                found.append(socket.create_connection(("127.0.0.1", port), PATIENCE_S))
            except OSError as error:
                found.append(error)
            finally:
                os.close(fd)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        if isinstance(found[0], OSError):
            raise found[0]
        return found[0]

    def http(
        self, port: int, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """One request to a port of the machine: status and JSON document. Raises OSError."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        connection.sock = self.connect(port)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(
                method,
                path,
                data,
                {"Content-Type": "application/json", "Host": "127.0.0.1", **(headers or {})},
            )
            response = connection.getresponse()
            text = response.read()
            if port in self._answering:
                hear("answer of a process", f"{response.headers}{text.decode('utf-8', 'replace')}\n")
            return response.status, json.loads(text) if text else None
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()


def _cgroup2() -> Path:
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(where)
    raise MachineError("no cgroup2 is mounted here")
