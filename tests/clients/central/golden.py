"""The published Session component, section by section (`tests/golden/session_component.md`)."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_DOCUMENT = Path(__file__).parents[2] / "golden" / "session_component.md"


@dataclass(frozen=True)
class Section:
    number: int
    title: str
    url: str  # path and query
    body: Any  # None: the call has none
    output: Any  # None: not documented


def sections() -> dict[int, Section]:
    text = _DOCUMENT.read_text()
    found: dict[int, Section] = {}
    for match in re.finditer(r"^# (\d)\.\) (.*?)\s*$(.*?)(?=^# \d\.\)|\Z)", text, re.MULTILINE | re.DOTALL):
        number, title, rest = int(match[1]), match[2], match[3]
        blocks = dict(re.findall(r"\*\*(Body|URL|Output)\*\*:\s*```\s*(.*?)```", rest, re.DOTALL))
        found[number] = Section(
            number,
            title,
            re.sub(r"^http://[^/]+", "", blocks["URL"].strip()),
            json.loads(blocks["Body"]) if "Body" in blocks else None,
            json.loads(blocks["Output"]) if "Output" in blocks else None,
        )
    return found
