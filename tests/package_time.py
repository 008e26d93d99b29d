"""How long the tests of the Debian package take, told at the end of each run of them. No pass mark."""

from collections import defaultdict

import pytest

MARKER = "package"


class PackageTime:
    def __init__(self) -> None:
        self._took_s: defaultdict[str, float] = defaultdict(float)  # by file: those run side by side

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if MARKER in report.keywords:
            self._took_s[report.nodeid.partition("::")[0]] += report.duration

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._took_s:
            longest_s, all_s = max(self._took_s.values()), sum(self._took_s.values())
            terminalreporter.write_line(
                f"the package under systemd: {longest_s:.0f} s in the longest of {len(self._took_s)} files,"
                f" {all_s:.0f} s in all"
            )


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(PackageTime())
