"""Every text that a script or a page asks for is in its catalogue; every text of a catalogue is asked for."""

import ast
import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import get_args

import pytest

import bayd
from bayd.core import inputs as i
from bayd.core.audit import _facts
from bayd.core.conflicts import FOR_THE_RECORD
from bayd.core.model import Bay, DeviceState, Mode, Phase
from bayd.core.qos_lease import STATE_NAMES
from bayd.reconcile.delivery import session_of
from bayd.web.day import What
from bayd.web.pages import board, devices
from bayd.web.pages.files import DIRECTORY
from tests.test_docs import calls, modules, texts_of, warning_codes

_PACKAGE = Path(bayd.__file__).parent
_WAITING_ROOM = _PACKAGE / "wiring/waiting_room.py"
_KEY = r"[a-z_]+(?:\.[\w/-]+)+"
_COMMENT = re.compile(r"^\s*(//|#|\*|/\*\*).*$", re.MULTILINE)


def _acts() -> frozenset[str]:
    text = (DIRECTORY / "board/acts.js").read_text().partition("export const ACTS")[2].partition("\n};")[0]
    return frozenset(re.findall(r'^  "?([\w/-]+)"?: \{', text, re.MULTILINE))


def _fields() -> frozenset[str]:
    """A label stands for the name where there is one."""
    text = (DIRECTORY / "board/acts.js").read_text()
    labels = set(re.findall(r'label: "(\w+)"', text))
    names = set(re.findall(r'(?:NUMBER\(|name: )"(\w+)"', text))
    asked_without = set(re.findall(r'NUMBER\("(\w+)"(?:\)|, more\)|, \{(?![^}]*label))', text)) | set(
        re.findall(r'name: "(\w+)"', text)
    )
    return frozenset((names & asked_without) | labels)


def _sections() -> frozenset[str]:
    return frozenset(re.findall(r'_section\(\s*"(\w+)"', (_PACKAGE / "web/pages/handover.py").read_text()))


def _people_act() -> list[type[i.Input | i.Move]]:
    made = (*get_args(i.Input), i.Move)
    return [one for one in made if "actor" in {field.name for field in fields(one)}]


def _audited() -> frozenset[str]:
    """Every act that can stand in the audit: the inputs of people, and what the pages of staff write."""
    inputs = {one.__name__ for one in _people_act() if not one.__name__.endswith("Seen")}
    pages = "".join((_PACKAGE / f"web/{name}.py").read_text() for name in ("pairing", "staff_accounts"))
    return frozenset(inputs | set(re.findall(r'"((?:Staff|Screen)[A-Z]\w+)"', pages)))


def _asked() -> frozenset[str]:
    """All that is asked for in them, but for what only machines read, and for who and why."""
    names = {
        field.name for one in _people_act() for field in fields(one) if not one.__name__.endswith("Seen")
    }
    known_otherwise = {"actor", "reason", "shown_amount", "shown_at_once", "conflict", "session_user_id"}
    return frozenset(
        {name for name in names - known_otherwise if not name.endswith("_id")} | {"name", "role"}
    )


DEVICES = ("reader", "dispenser", "screen")
# What a press at the screen may be answered with, and is said better than "not possible now".
_GUESTS_REFUSALS = frozenset(
    (
        "already_asked", "already_playing", "cap_reached", "closed", "dispenser_fault", "limit_passed",
        "limit_reached", "next_booking", "no_booking", "outcome_unknown", "paused", "pauses_used",
        "payout_running", "pin_unavailable", "session_over", "too_early", "too_many_requests", "unknown_game",
        "price_changed", "unreachable", "wrong_bay", "other",
    )
)  # fmt: skip


# Only machines and tools are answered so, or a screen; its guest is told less (`_GUESTS_REFUSALS`).
_NOT_FOR_STAFF = frozenset(
    (
        "already_asked", "attempt_gone", "balls_not_offered", "balls_step", "cap_reached", "check_running",
        "counted_already", "dispenser_fault", "earlier_item", "host_refused", "idempotency_key_missing",
        "idempotency_key_reused", "limit_reached", "local_only", "malformed", "method_not_allowed",
        "minutes_not_offered", "name_taken", "no_code", "no_session", "not_counted", "not_found", "not_json",
        "not_set_aside", "origin_missing", "origin_refused", "other_bay", "pauses_used", "payout_gone",
        "payout_size", "pin_unavailable", "playing", "secret_in_url", "sighted_already", "staff_only",
        "stopping", "too_early", "too_large", "too_many_codes", "too_many_streams", "too_many_watch",
        "too_slow", "trivial_pin", "unavailable", "unknown_item", "unknown_name", "unsupported_body",
        "price_changed", "user_refused",
    )
)  # fmt: skip


def _refusal_codes() -> set[str]:
    """As they stand in the source; a bay that is held or out of service refuses by the name of that."""
    codes = {Phase.HELD.value, Phase.OUT_OF_SERVICE.value}
    for file in [*(_PACKAGE / "core").glob("*.py"), *(_PACKAGE / "web").rglob("*.py"), _WAITING_ROOM]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                place = {"Refusal": 0, "Problem": 1}.get(node.func.id)
                code = node.args[place] if place is not None and len(node.args) > place else None
                if isinstance(code, ast.Constant):
                    codes.add(str(code.value))
    return codes


@dataclass(frozen=True)
class Catalogue:
    """`families`: what stands behind a prefix that is put together, `phase.${bay.phase}`."""

    name: str
    folders: tuple[str, ...]
    modules: tuple[str, ...]
    families: dict[str, frozenset[str]]

    @property
    def texts(self) -> set[str]:
        return set(json.loads((DIRECTORY / f"i18n/{self.name}.en.json").read_text()))

    @property
    def keys(self) -> set[str]:
        """As they are asked for: a plural by its stem."""
        return {re.sub(r"\.(one|other)$", "", text) if self._is_plural(text) else text for text in self.texts}

    def _is_plural(self, text: str) -> bool:
        stem, _, form = text.rpartition(".")
        return form in ("one", "other") and {f"{stem}.one", f"{stem}.other"} <= self.texts

    @property
    def plurals(self) -> set[str]:
        return {
            text.removesuffix(".one")
            for text in self.texts
            if text.endswith(".one") and self._is_plural(text)
        }

    def sources(self) -> Iterator[str]:
        for folder in self.folders:
            for script in sorted((DIRECTORY / folder).glob("*.js")):
                if script.name != "uplot.js":
                    yield _COMMENT.sub("", script.read_text())
        for module in self.modules:
            yield _COMMENT.sub("", (_PACKAGE / f"web/{module}.py").read_text())

    @property
    def source(self) -> str:
        return "\n".join(self.sources())


BAY = Catalogue("bay", ("bay", "lib"), ("pages/screen",), {"refusal": _GUESTS_REFUSALS})
BOARD = Catalogue(
    "board",
    ("board", "devices"),
    ("pages/board", "pages/day", "pages/devices", "pages/handover", "pages/told_acts", "pages/words", "day"),
    {
        "act": _acts(),
        "bays": frozenset(board._COLUMNS),
        "day": frozenset((*What, "when", "who", "what", "why")),
        "devices": frozenset(
            (*devices._PLOTS, *devices._READER, *devices._PORT, *devices._MACHINE, "readers", "dispensers")
        ),
        "handover": _sections(),
        "sent": frozenset(re.findall(r"e\.(\w+)", inspect.getsource(session_of))) - {"Event"},
        "warning": frozenset(warning_codes()) - FOR_THE_RECORD,
        # A session that is none, or over, is no news to staff.
        "qod": frozenset(STATE_NAMES) - {"idle", "ended"},
        "audit": _audited(),
        "asked": _asked(),
        "fact": frozenset(_facts(Bay("109"), 0)) - {"kept", "game", "turn"}
        | {f"device_{one}" for one in DEVICES}
        | {"locked"},
        "role": frozenset(("staff", "technician")),
        "device": frozenset(DEVICES),
        "device_state": frozenset((*DeviceState, "none")),
        "field": _fields(),
        "level": frozenset(("ok", "low", "full", "empty", "unknown")),
        "mode": frozenset((*Mode, "configured")),
        "nav": frozenset(board._PAGES),
        "pay": frozenset(("cash", "card", "desk", "on_account")),
        "phase": frozenset(Phase),
        "refusal": frozenset(_refusal_codes() - _NOT_FOR_STAFF | {"unreachable"}),
        "until": frozenset(("day_end", "revoked")),
    },
)
CATALOGUES = pytest.mark.parametrize("catalogue", [BAY, BOARD], ids=lambda catalogue: catalogue.name)


def _said(source: str) -> set[str]:
    """Whole keys in `say(…)`, both of a choice."""
    said = {"language.name"}
    for first in re.findall(r"\bsay\(\s*([^`(),]*)", source):
        chosen = re.sub(r"[!=]==?\s*[\"'][^\"']*[\"']", "", first)
        said |= set(re.findall(r"(?<!f)[\"']([\w./-]+)[\"']", chosen))
    return said


def _shaped(source: str) -> set[str]:
    """What looks like a key, wherever it stands."""
    found = set(re.findall(rf"[\"'`]({_KEY})[\"'`]", source))
    return {key for key in found if not key.endswith((".css", ".js", ".json"))}


@CATALOGUES
def test_every_text_that_is_asked_for_exists(catalogue: Catalogue) -> None:
    keys = catalogue.keys
    prefixes = {key.partition(".")[0] for key in keys}
    source = catalogue.source
    asked = _said(source) | {key for key in _shaped(source) if key.partition(".")[0] in prefixes}
    asked |= {f"{prefix}.{name}" for prefix, names in catalogue.families.items() for name in names}
    assert len(asked) > 50
    assert asked - keys == set()


@CATALOGUES
def test_what_is_counted_has_its_plural(catalogue: Catalogue) -> None:
    counted = set(re.findall(rf"say\(\s*\"({_KEY})\",\s*(?:\{{[^}}]*\bcount\b|count=)", catalogue.source))
    assert len(counted) > 3
    assert counted <= catalogue.plurals


@CATALOGUES
def test_every_text_that_exists_is_asked_for(catalogue: Catalogue) -> None:
    source = catalogue.source
    asked = _said(source) | _shaped(source)
    prefixes = set(re.findall(r"[\"'`]([a-z_]+)\.\$?\{", source))
    endings = set(re.findall(r"f[\"']\{\w+\}\.(\w+)[\"']", source))
    assert catalogue.families.keys() <= prefixes
    words = set(re.findall(r"[\"'`]([\w/-]+)[\"'`]", source))
    unused = set()
    for key in catalogue.keys - asked:
        prefix, _, rest = key.partition(".")
        known = catalogue.families.get(prefix, words)
        if not (prefix in prefixes and rest in known) and rest not in endings:
            unused.add(key)
    assert unused == set()


def test_why_something_was_refused_is_said_in_hindi_and_no_code_is_forgotten() -> None:
    assert len(_refusal_codes()) > 80
    assert _refusal_codes() >= _NOT_FOR_STAFF, "no longer said"
    hindi = json.loads((DIRECTORY / "i18n/board.hi.json").read_text())
    said = {code: hindi[f"refusal.{code}"] for code in _refusal_codes() - _NOT_FOR_STAFF}
    assert [code for code, text in said.items() if not re.search("[\u0900-\u097f]", text)] == []


def _facts_of_warnings() -> dict[str, list[set[str]]]:
    """Code -> what is said beside the text, of each place where the daemon warns of it."""
    found: dict[str, list[set[str]]] = {}
    for module in modules('"code"', "_warning("):
        told = [call for name, call in calls(module) if name == "_warning"]
        for call in told:
            said = next((word.value for word in call.keywords if word.arg == "facts"), None)
            for code in texts_of(call.args[0], module):
                found.setdefault(code, []).append(_keys(said))
        for made in (node for node in ast.walk(module) if isinstance(node, ast.Dict)):
            parts = dict(zip(map(_text, made.keys), made.values, strict=True))
            if "code" not in parts:
                continue
            facts = _keys(parts.get("facts"))
            if isinstance(parts["code"], ast.Name) and facts:  # `_warning` of this module makes them itself
                found |= {code: [facts] for call in told for code in texts_of(call.args[0], module)}
            for code in texts_of(parts["code"], module):
                found.setdefault(code, []).append(facts)
    return found


def _text(node: ast.expr | None) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else ""


def _keys(node: ast.expr | None) -> set[str]:
    return set(map(_text, node.keys)) if isinstance(node, ast.Dict) else set()


@pytest.mark.parametrize(("language", "many"), [("en", 0), ("hi", 10)])
def test_a_warning_names_nothing_that_the_daemon_does_not_say(language: str, many: int) -> None:
    texts = json.loads((DIRECTORY / f"i18n/board.{language}.json").read_text())
    known = _facts_of_warnings()
    assert known["reader_away"] == [{"reader", "reason"}]
    assert known["qod_orphan"] == [{"bay", "reason"}]
    assert known["no_show"] == [{"session"}]
    assert known["retired_bay_due"] == [{"amount", "session"}]
    wanted = {
        code: set(re.findall(r"\{(\w+)\}", texts.get(f"warning.{code}", ""))) - {"text"}
        for code in warning_codes()
    }
    assert sum(bool(names) for names in wanted.values()) >= many
    assert {
        code: names
        for code, names in wanted.items()
        if names and not all(names <= said for said in known.get(code, [set()]))
    } == {}
