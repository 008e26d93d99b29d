"""How long the tests of the Debian package take: promised, and told at the end of each run of them.

A busy machine is no defect: only five times of what is promised fails the run.
"""

from collections import defaultdict

import pytest

PROMISED_S = 120
SLACK = 5
MARKER = "package"


class PackageTime:
    def __init__(self) -> None:
        self._took_s: defaultdict[str, float] = defaultdict(float)  # by file: those run side by side

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if MARKER in report.keywords:
            self._took_s[report.nodeid.partition("::")[0]] += report.duration

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.longest_s > SLACK * PROMISED_S:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._took_s:
            longest_s, all_s = self.longest_s, sum(self._took_s.values())
            terminalreporter.write_line(
                f"the package under systemd: {longest_s:.0f} s in the longest of {len(self._took_s)} files,"
                f" {all_s:.0f} s in all; promised: {PROMISED_S} s, at most {SLACK * PROMISED_S} s"
            )

    @property
    def longest_s(self) -> float:
        return max(self._took_s.values(), default=0.0)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(PackageTime())
