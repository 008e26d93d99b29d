"""What is made from the code and kept in the tree; `make docs` writes it, `tests/test_docs.py` holds it.

python -m tests.generated_pages
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bayd.cli.config_schema import reference, schema
from bayd.core.phases import diagram

ROOT = Path(__file__).parent.parent
_FENCE = "```mermaid\n"


def schema_file() -> str:
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def phases_page() -> str:
    """The page as it stands, with the diagram of the present table."""
    before, _, rest = (ROOT / "docs/phases.md").read_text().partition(_FENCE)
    return before + _FENCE + diagram() + "```" + rest.partition("```")[2]


PAGES: Mapping[str, Callable[[], str]] = {
    "config/bayd.schema.json": schema_file,
    "docs/configuration.md": reference,
    "docs/phases.md": phases_page,
}


def main() -> None:
    for name, render in PAGES.items():
        (ROOT / name).write_text(render())
        sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    main()
