"""A daemon or a reference service in a process of its own, waited for by what it says."""

import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.cli.command import command, environment, keep_credentials_secret, prepared
from tests.free_ports import free_port
from tests.let_out import hear

_STOP_S = 30


def configuration(directory: Path, port: int, more: str = "") -> Path:
    """One bay without any device; its central server is a port where nobody listens."""
    file = directory / "bayd.toml"
    file.write_text(
        f'[http]\nlisten = ["127.0.0.1:{port}"]\n[state]\ndir = "{directory / "state"}"\n'
        f'[central]\nurl = "http://127.0.0.1:{free_port()}"\npoll_s = 60\n[bays.109]\nrfid = false\n{more}'
    )
    return file


class Service:
    """A started process. All that it says on stdout and stderr is in `said`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[str] = []
        self._more = threading.Condition()
        self._over = False
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def wait_for(self, text: str, *, after: int = 0) -> str:
        """The first line with `text`, as soon as it is said; fails when the process ends without it.

        `after` so many lines.
        """
        with self._more:
            while True:
                for line in self.said[after:]:
                    if text in line:
                        return line
                assert not self._over, f"ended without saying {text!r}:\n" + "".join(self.said)
                self._more.wait()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal it; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(_STOP_S)
        self._listener.join(_STOP_S)
        return code

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            hear("process", line)
            with self._more:
                self.said.append(line)
                self._more.notify_all()
        with self._more:
            self._over = True
            self._more.notify_all()


@contextmanager
def started(
    *arguments: object,
    env: Mapping[str, str] | None = None,
    before: str | None = None,
    runner: Sequence[str] = (),
) -> Iterator[Service]:
    """`bayd ARGUMENTS`, ended with the test. `before`: statements that it begins with. `runner`: a command
    that becomes it."""
    keep_credentials_secret(env)
    process = subprocess.Popen(
        [*runner, *(command(*arguments) if before is None else prepared(before, *arguments))],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        env=environment(env),
    )
    service = Service(process)
    try:
        yield service
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(_STOP_S)
        service._listener.join(_STOP_S)
        assert process.stdout is not None
        process.stdout.close()
