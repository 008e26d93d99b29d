"""Lines on their way to stderr, written by a thread of their own.

Whoever reads our stderr may hang: journald on a disk that does not answer. A line is never worth a bay, so
the loop leaves it in a bounded queue and goes on. What finds the queue full is dropped, counted, and told of.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

STDERR = 2
LIMIT_CHARS = 1 << 20  # a quarter of an hour of a noisy evening
# sd-daemon(3): a line that begins with <N> has this priority in the journal.
PRIORITIES: Mapping[str, int] = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}


def is_under_journald(environment: Mapping[str, str] | None = None) -> bool:
    return "JOURNAL_STREAM" in (os.environ if environment is None else environment)


def error_line(text: str) -> str:
    """For who logs nothing else: a line that is an error in the journal, and plain elsewhere."""
    return f"<{PRIORITIES['error']}>{text}\n" if is_under_journald() else f"{text}\n"


def write_stderr(text: str) -> None:
    """Past `sys.stderr`: a thread that hangs would hold its lock, and with it the end of the process."""
    data = text.encode(errors="backslashreplace")
    while data:
        data = data[os.write(STDERR, data) :]


class LogPipe:
    """Any thread may `put`; none ever waits for the reader."""

    def __init__(
        self, write: Callable[[str], None] = write_stderr, *, limit_chars: int = LIMIT_CHARS
    ) -> None:
        self._write = write
        self._limit_chars = limit_chars
        self._guard = threading.Condition()  # of all below
        self._lines: deque[str] = deque()
        self._chars = 0
        self._writing = False
        self._dropped = 0  # since it was last asked
        threading.Thread(target=self._work, name="bayd-log", daemon=True).start()

    def put(self, line: str) -> bool:
        """False: there is no room for it."""
        with self._guard:
            if self._chars + len(line) > self._limit_chars:
                self._dropped += 1
                return False
            self._lines.append(line)
            self._chars += len(line)
            self._guard.notify_all()
            return True

    def take_dropped(self) -> int:
        """How many lines were dropped, asked once there is room again; until then 0."""
        with self._guard:
            if 2 * self._chars > self._limit_chars:
                return 0
            dropped, self._dropped = self._dropped, 0
            return dropped

    def flush(self, limit_s: float) -> bool:
        """Wait until all is written; False: not within `limit_s`."""
        end = time.monotonic() + limit_s
        with self._guard:
            while self._lines or self._writing:
                if not self._guard.wait(end - time.monotonic()):
                    return False
            return True

    def warnings(self) -> list[dict[str, Any]]:
        """For the status."""
        with self._guard:
            dropped = self._dropped
        if not dropped:
            return []
        text = f"Nobody takes the lines of the log: {dropped} were dropped. Play goes on."
        return [{"code": "log_lines_dropped", "since": None, "text": text}]

    def _work(self) -> None:
        while True:
            with self._guard:
                while not self._lines:
                    self._guard.wait()
                line = self._lines.popleft()
                self._writing = True
            try:
                self._write(line)
            except OSError:
                pass  # nobody reads any more: there is nowhere left to say so
            finally:
                with self._guard:
                    self._chars -= len(line)
                    self._writing = False
                    self._guard.notify_all()
