"""The documents say what the code does: pages made from it, every key, every warning, every command."""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
from pydantic import BaseModel

from bayd.cli import main
from bayd.settings import (
    Balls,
    BayQod,
    BaySettings,
    Central,
    Http,
    Log,
    Play,
    Qod,
    QodWebhook,
    Screens,
    Settings,
    Site,
    Staff,
    State,
    load,
)
from bayd.settings.dispensers import CctalkHopper, Feedback, ModbusRtu, PulseRelay, Registers
from bayd.settings.readers import Reader
from tests.generated_pages import PAGES, ROOT

EXAMPLE = ROOT / "config/bayd.example.toml"
OPERATIONS = ROOT / "docs/operations.md"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

# Where the example has the tables whose names people choose.
TABLES: dict[tuple[str, ...], type[BaseModel]] = {
    ("site",): Site,
    ("http",): Http,
    ("screens",): Screens,
    ("staff",): Staff,
    ("state",): State,
    ("central",): Central,
    ("qod",): Qod,
    ("qod", "webhook"): QodWebhook,
    ("readers", "b9f79d3710da1f3e"): Reader,
    ("dispensers", "east"): CctalkHopper,
    ("dispensers", "west"): ModbusRtu,
    ("dispensers", "west", "registers"): Registers,
    ("dispensers", "south"): PulseRelay,
    ("dispensers", "south", "feedback"): Feedback,
    ("bays", "101"): BaySettings,
    ("bays", "101", "qod"): BayQod,
    ("play",): Play,
    ("balls",): Balls,
    ("log",): Log,
}


# What is made from the code.


@pytest.mark.parametrize("name", PAGES)
def test_a_page_made_from_the_code_is_fresh(name: str) -> None:
    kept = (ROOT / name).read_text()
    assert kept == PAGES[name](), f"{name} is stale: run `make docs`"


def test_every_setting_explains_itself() -> None:
    unexplained = [
        f"{model.__name__}.{key}"
        for model in TABLES.values()
        for key, field in model.model_fields.items()
        if not field.description
    ]
    assert unexplained == []


# The example.


def uncommented(text: str) -> str:
    """Every key and table taken into use: prose has a blank after its `#`."""
    return re.sub(r"^#(?=[a-z0-9_]+ = |\[)", "", text, flags=re.MULTILINE)


def table_at(document: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    for part in path:
        document = document[part]
    return document


def test_the_example_is_good_as_it_stands() -> None:
    settings = load(EXAMPLE, {}).settings
    assert list(settings.bays) == ["101", "102"]


def test_the_example_with_every_key_in_use_is_well_formed() -> None:
    document = tomllib.loads(uncommented(EXAMPLE.read_text()))
    settings = Settings(**document)
    assert settings.qod is not None


@pytest.mark.parametrize("path", TABLES)
def test_the_example_has_every_key_with_its_default(path: tuple[str, ...]) -> None:
    text = EXAMPLE.read_text()
    shown = table_at(tomllib.loads(uncommented(text)), path)
    in_use = tomllib.loads(text)
    model = TABLES[path]
    tables_inside = {key for key in model.model_fields if (*path, key) in TABLES}
    missing = set(model.model_fields) - set(shown) - tables_inside
    assert not missing, f"describe these in {EXAMPLE.name}: {sorted(missing)}"
    try:
        set_here = set(table_at(in_use, path))
    except KeyError:
        set_here = set()
    for key, field in model.model_fields.items():
        if key in set_here or key in tables_inside or field.is_required() or field.default is None:
            continue
        default = model.model_validate(shown).model_dump(mode="json")[key]
        expected = model.model_construct().model_dump(mode="json")[key]
        assert default == expected, f"{'.'.join(path)}.{key} in {EXAMPLE.name}"


def test_no_table_of_the_settings_is_left_out() -> None:
    assert {path[0] for path in TABLES} == set(Settings.model_fields)


# Warnings and log events.


@cache
def _sources() -> list[str]:
    """The daemon's own; the reference services and the demo have logs of their own."""
    return [
        file.read_text()
        for package in ("bayd", "hardware")
        for file in sorted((ROOT / package).rglob("*.py"))
        if file.relative_to(ROOT).parts[:2] not in (("bayd", "reference"), ("bayd", "demo"))
    ]


def modules(*words: str) -> Iterator[ast.Module]:
    """Those in which one of the words stands: to parse all would keep the whole suite waiting."""
    for source in _sources():
        if any(word in source for word in words):
            yield _parsed(source)


_parsed = cache(ast.parse)


def calls(module: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(module):
        match node:
            case ast.Call(func=ast.Attribute(attr=name)) | ast.Call(func=ast.Name(id=name)):
                yield name, node


def texts_of(node: ast.expr, module: ast.Module) -> set[str]:
    """The texts that an expression can be: itself, one of two, or what a name was given in this module."""
    match node:
        case ast.Constant(value=str() as text):
            return {text}
        case ast.IfExp(body=body, orelse=orelse):
            return texts_of(body, module) | texts_of(orelse, module)
        case ast.Name(id=name):
            given = [
                assigned.value
                for assigned in ast.walk(module)
                if isinstance(assigned, ast.Assign)
                and any(isinstance(target, ast.Name) and target.id == name for target in assigned.targets)
            ]
            return {text for value in given if value is not node for text in texts_of(value, module)}
        case _:
            return set()


# Through a variable: bayd/clients/central/client.py hands the name on.
_HANDED_ON = {"central_item_skipped", "central_field_ignored"}
# INFO in its other branch.
_GOOD_NEWS = {"central_online"}


def logged(level: str) -> set[str]:
    """`log(…)` is a logger's method that was chosen just before: INFO or WARNING."""
    names = {level, "log"} if level == "warning" else {level}
    return {
        text
        for module in modules(*(f"{name}(" for name in names))
        for name, call in calls(module)
        if name in names and call.args
        for text in texts_of(call.args[0], module)
        if re.fullmatch(r"[a-z][a-z0-9_]+", text)
    }


def warning_codes() -> set[str]:
    """What `/status` can show."""
    codes = {
        f"{device}_{state}" for device in ("reader", "dispenser", "screen") for state in ("lost", "fault")
    }
    told_by = ("_conflict", "ConflictSeen", "ServerContradicted", "_warning")
    for module in modules('"code"', *(f"{name}(" for name in told_by)):
        for name, call in calls(module):
            if name in told_by:
                codes |= next((found for arg in call.args[:2] if (found := texts_of(arg, module))), set())
        for node in ast.walk(module):
            if isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == "code":
                        codes |= texts_of(value, module)
    return codes


def documented(heading: str) -> set[str]:
    """The code words of the first column below a heading, down to the next one of its rank."""
    rank = heading.partition(" ")[0]
    section = OPERATIONS.read_text().partition(f"\n{heading}\n")[2]
    assert section, f"{OPERATIONS.name} has no section {heading!r}"
    section = re.split(rf"\n#{{1,{len(rank)}}} ", section)[0]
    return set(re.findall(r"^\| `([a-z0-9_]+)` \|", section, flags=re.MULTILINE))


def test_every_warning_is_in_the_guide_for_operators() -> None:
    reserved = {"reader_fault", "screen_lost", "screen_fault"}
    assert all(f"`{code}`" in OPERATIONS.read_text() for code in reserved)
    told = documented("## Warnings in `/status`")
    assert told == warning_codes() - reserved, f"docs/{OPERATIONS.name} and the code differ"


def test_every_error_in_the_log_is_in_the_guide_for_operators() -> None:
    assert documented("### ERROR") == logged("error"), f"docs/{OPERATIONS.name} and the code differ"


def test_every_warning_in_the_log_is_in_the_guide_for_operators() -> None:
    wanted = (logged("warning") | _HANDED_ON) - _GOOD_NEWS
    assert documented("### WARNING") == wanted, f"docs/{OPERATIONS.name} and the code differ"


def test_the_events_that_are_handed_on_still_exist() -> None:
    told = {
        text
        for module in modules("_report(")
        for name, call in calls(module)
        if name == "_report" and call.args
        for text in texts_of(call.args[0], module)
    }
    assert told >= _HANDED_ON


# Commands, targets and links.


def code_of(document: Path) -> str:
    """What stands in fences, in indented blocks and between backticks."""
    text = document.read_text()
    fences = re.findall(r"^```[a-z]*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^ {4}(.*)$", text, flags=re.MULTILINE)
    inline = re.findall(r"`([^`\n]+)`", text)
    return "\n".join([*fences, *indented, *inline])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_that_is_named_exists(document: Path) -> None:
    code = code_of(document)
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for target in re.findall(r"(?:^|\s)make ((?:[A-Z]+=\S+ )*)([a-z][a-z-]*)", code):
        name = target[1]
        bench = ROOT / "tests/bench" / f"{name.replace('-', '_')}.py"
        assert name in targets or bench.exists(), f"make {name} is no target"
    for name, second in re.findall(
        r"^(?:\$ )?(?:.venv/bin/)?bayd ([a-z][a-z-]+)(?: ([a-z][a-z-]+))?", code, flags=re.M
    ):
        assert isinstance(main, click.Group)
        command = main.commands.get(name)
        assert command is not None, f"bayd {name} is no command"
        if isinstance(command, click.Group) and second:
            assert second in command.commands, f"bayd {name} {second} is no command"


def anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_link_leads_nowhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (document.parent / name).resolve() if name else document
        assert file.exists(), f"{document.name}: {target}"
        if anchor:
            assert anchor in anchors(file), f"{document.name}: {target}"


def test_every_decision_is_in_the_index() -> None:
    index = (ROOT / "docs/adr/README.md").read_text()
    missing = [file.name for file in (ROOT / "docs/adr").glob("0*.md") if f"({file.name})" not in index]
    assert missing == []


def test_each_failure_at_the_bay_names_a_test_that_exists() -> None:
    section = OPERATIONS.read_text().partition("## Failures at the bay")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][2:]
    failures = (
        "Reader blind; Hopper jammed; Hopper empty; Hopper busy; Central server away; PIN unknown;"
        " Right PIN at the wrong bay; PIN pad locked; Mobile operator down; Daemon down; Kiosk offline;"
        " Bay PC rebooted; Disk full; Call for help unanswered"
    )
    assert len(rows) == len(failures.split(";"))
    for row, failure in zip(rows, failures.split(";"), strict=True):
        what, *cells, test, _ = (cell.strip() for cell in row.removeprefix("|").split("|"))
        assert what.startswith(failure.strip())
        assert len(cells) == 3 and all(cells), what
        name, _, function = test.strip("`").partition("::")
        tree = ast.parse((ROOT / "tests/browser" / name).read_text())
        functions = {one.name for one in tree.body if isinstance(one, ast.AsyncFunctionDef)}
        assert function in functions, what
