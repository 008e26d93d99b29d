"""Reports of bays that were taken into service: a JSON and a text file each, below `state.dir`.

A file is written beside its name and renamed, so that a report is whole or not there. Its name begins with
the time, so that the newest is the last.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = "commission"


class CommissionBook:
    """Blocking: called in a thread."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / FOLDER

    def find_all(self, bay: str) -> list[dict[str, Any]]:
        """Oldest first; a file that cannot be read is left out."""
        reports = []
        for file in sorted(self._folder.glob("*.json")):
            try:
                report = json.loads(file.read_text())
            except (OSError, ValueError):
                continue
            if isinstance(report, dict) and report.get("bay") == bay:
                reports.append(report)
        return reports

    def save(self, report: Mapping[str, Any]) -> str:
        """The name of the text file. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        stem = f"{report['at'].replace(':', '')}-bay-{_plain(report['bay'])}-{_plain(report['id'])[:8]}"
        for suffix, text in ((".json", json.dumps(report, indent=2) + "\n"), (".txt", as_text(report))):
            unfinished = self._folder / f"{stem}{suffix}.part"
            unfinished.write_text(text)
            unfinished.replace(self._folder / f"{stem}{suffix}")
        return str(self._folder / f"{stem}.txt")


def changes(steps: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is other than it was in the report before."""
    was = {step["name"]: step["outcome"] for step in before}
    return [
        f"{step['name']}: {was[step['name']]} before, {step['outcome']} now"
        for step in steps
        if step["name"] in was and was[step["name"]] != step["outcome"]
    ]


def as_text(report: Mapping[str, Any]) -> str:
    """For people, and for the folder at the bay."""
    lines = [
        f"Bay {report['bay']}: {'in order' if report['passed'] else 'NOT in order'}",
        "",
        f"signed off by  {report['by']}",
        f"at             {report['at']}",
        f"bayd           {report['version']}, configuration {report['configuration'][:12]}",
        "",
        *(f"{step['outcome']:8} {step['name']:10} {step['text']}" for step in report["steps"]),
    ]
    if report["changes"]:
        lines += ["", "Since the report before:", *(f"  {change}" for change in report["changes"])]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c == "-") else "_" for c in text)
