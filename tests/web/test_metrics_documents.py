"""What the alert rules, the dashboard and the table of figures name is really on the page."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped] # comes with schemathesis; the stubs do not
from prometheus_client.parser import text_string_to_metric_families as parse

from bayd.core import inputs as i
from bayd.core.model import DeviceState
from tests.web.house import PIN, STAFF, House

DOCS = Path(__file__).parents[2] / "docs"
# Words of PromQL (Prometheus documentation, "Operators", "Functions"), as far as they are used here.
WORDS = frozenset(
    {"absent", "and", "changes", "count", "histogram_quantile", "increase"}
    | {"max", "on", "or", "rate", "sum", "unless", "vector"}
)
GIVEN_BY_PROMETHEUS = frozenset({"job", "instance", "le"})
Labels = dict[str, dict[str, set[str]]]


async def everything_on(house: House) -> Labels:
    """Sample name -> label -> values, of a house where everything has happened once."""
    house.qod = {"state": "ok", "states": {}, "sessions_today": 1, "minutes_today": 2.0, "orphans": []}
    machine = {"state": "ok", "reason": "", "product": "", "level": "ok", "queue": []}
    house.devices["dispensers"]["east"] = machine
    await house.book()
    house.verifier.opens["135790"] = "99"  # which this bay does not know
    await house.press("pin", {"pin": "135790"})
    await house.press("pin", {"pin": PIN})
    await house.bays.submit("109", i.DeviceReported("dispenser", DeviceState.OK, ""))
    await house.press("end", {"reason": "x"}, token=STAFF)
    house.counts.loop_turned(0.0)
    await house.told()
    found: Labels = {}
    # Asked twice: the first answer is counted in the second.
    await house.ask("GET", "/metrics")
    for family in parse((await house.ask("GET", "/metrics")).text):
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                labels = found.setdefault(sample.name, {})
                for label, text in sample.labels.items():
                    labels.setdefault(label, set()).add(text)
    return found


def faults_of(expression: str, texts: str, found: Labels) -> Iterator[str]:
    """Names and labels that are not there. `texts` name labels as `{{ $labels.x }}` or `{{x}}`."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\"[^\"]*\"", " ", expression)
    grouped = set[str]()
    for names in re.findall(r"\b(?:by|on|without)\s*\(([^)]*)\)", bare):
        grouped |= {name.strip() for name in names.split(",") if name.strip()}
    bare = re.sub(r"\b(?:by|on|without)\s*\([^)]*\)", " ", bare)
    names = set(re.findall(r"[a-zA-Z_:][\w:]*", bare)) - WORDS
    known = GIVEN_BY_PROMETHEUS.union(*(found.get(name, {}) for name in names))
    yield from (f"no metric {name}" for name in names - set(found))
    yield from (f"no label {label}" for label in grouped - known)
    for name, selector in re.findall(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}", expression):
        for label, how, value in re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', selector):
            if label == "job":
                continue
            values = found.get(name, {}).get(label, set())
            for word in value.split("|") if "~" in how else [value]:
                # A code of HTTP is there once it was answered.
                if label != "code" and word not in values:
                    yield f"no {name} with {label}={word}"
            if not values:
                yield f"no label {label} of {name}"
    for label in re.findall(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}", texts):
        if label not in known:
            yield f"no label {label} for {texts!r}"


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((DOCS / "alerts.yml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


async def test_every_alert_is_about_figures_that_exist(house: House) -> None:
    found = await everything_on(house)
    faults = [
        f"{rule['alert']}: {fault}"
        for rule in rules()
        for fault in faults_of(rule["expr"], str(rule["annotations"]), found)
    ]
    assert faults == []


async def test_every_plot_is_of_figures_that_exist(house: House) -> None:
    found = await everything_on(house)
    dashboard = json.loads((DOCS / "grafana.json").read_text())
    faults = [
        f"{panel['title']}: {fault}"
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for fault in faults_of(target["expr"], target["legendFormat"], found)
    ]
    assert faults == []
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"]) > 20


async def test_the_table_lists_every_figure_with_its_unit_and_labels(house: House) -> None:
    found = await everything_on(house)
    rows = re.findall(
        r"^\| `(bayd_\w+)` \| \w+ \| (.+?) \| (.*?) ?\|", (DOCS / "metrics.md").read_text(), re.M
    )
    listed = {name: {label for label in labels.split(", ") if label} for name, _, labels in rows}
    shown: dict[str, set[str]] = {}
    for sample, labels in found.items():
        if sample.startswith("bayd_") and not sample.endswith(("_sum", "_count")):
            shown[sample.removesuffix("_bucket")] = set(labels) - {"le"}
    assert listed == shown
    assert all(unit == "seconds" for name, unit, _ in rows if "_seconds" in name)


def test_every_alert_says_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in {"page", "ticket"}, rule["alert"]
        assert set(rule["annotations"]) == {"summary", "what_to_do"}, rule["alert"]
    assert len({rule["alert"] for rule in rules()}) == len(rules())


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("bayd_nothing > 0", "no metric bayd_nothing"),
        ("sum by (colour) (bayd_bay_phase)", "no label colour"),
        ('bayd_bay_phase{phase="asleep"}', "no bayd_bay_phase with phase=asleep"),
        ('bayd_bay_phase{stage="playing"}', "no label stage of bayd_bay_phase"),
    ],
)
async def test_what_is_not_there_is_found(house: House, expression: str, fault: str) -> None:
    assert fault in set(faults_of(expression, "", await everything_on(house)))
