"""The configuration told to editors and to people: a JSON schema, and the reference page.

Both are made from the models in `bayd.settings` alone: what they say is what `check-config` holds files to.
"""

from collections.abc import Mapping
from typing import Any

from bayd.settings import Settings

_INTRODUCTION = """\
# Configuration

Made from `bayd/settings/` by `make docs`; `bayd config reference` prints it for an installed version.

The file is TOML: `/etc/bayd/bayd.toml`, or what `--config` (or `BAYD_CONFIG`) names, then every
`conf.d/*.toml` beside it in the order of their names, later ones over earlier ones key by key. An
environment variable outranks the files: `BAYD_`, the path in capitals, two underscores between levels, as in
`BAYD_CENTRAL__POLL_S=10`. Lists and whole tables are written as JSON there. A key, a table or a variable
that is not known is refused, so that a typing error does not pass for a default. Secrets are never in these
files: see [security](security.md#secrets).

`bayd check-config FILE` says all that is wrong, a line for each fault, and exits 78 if there is any. A
commented example of every key is [`config/bayd.example.toml`](../config/bayd.example.toml); editors can be
given [`config/bayd.schema.json`](../config/bayd.schema.json).

`BAYD_TIME_SCALE` lets booked minutes pass faster, for demos and tests: 0.1 to 60, and refused unless every
server is on loopback and every device is simulated ([ADR 5](adr/0005-time-scale.md)).
"""


def schema() -> dict[str, Any]:
    """The JSON schema of a configuration file."""
    made = Settings.model_json_schema()
    made.pop("description", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **made,
        "title": "bayd.toml, the configuration of bayd",
    }


def reference() -> str:
    """Every key with its type, its default and its reason, as Markdown."""
    root = schema()
    parts = [_INTRODUCTION]
    for name, field in root["properties"].items():
        parts += _tables(root, f"{name}", _without_null(root, field), field)
    return "\n".join(parts)


def _tables(
    root: Mapping[str, Any], path: str, table: Mapping[str, Any], field: Mapping[str, Any]
) -> list[str]:
    """The section of one table and of those inside it."""
    if "additionalProperties" in table and "properties" not in table:
        inside = _resolved(root, table["additionalProperties"])
        kinds = [_resolved(root, kind) for kind in inside.get("oneOf", (inside,))]
        return [line for kind in kinds for line in _tables(root, f"{path}.NAME", kind, field)]
    rows = []
    inner: list[str] = []
    for key, value in table["properties"].items():
        kind = _without_null(root, value)
        if "properties" in kind:
            inner += _tables(root, f"{path}.{key}", kind, value)
            continue
        default = "required" if key in table.get("required", ()) else _toml(value.get("default"))
        rows.append(f"| `{key}` | {_words(kind)} | {default} | {value['description']} |")
    driver = table["properties"].get("driver", {}).get("const")
    return [
        f"## `[{path}]`{'' if driver is None else f' with driver = {_toml(driver)}'}\n",
        " ".join(str(table.get("description", "")).split()),
        "",
        "| key | type | default | meaning |",
        "| --- | --- | --- | --- |",
        *rows,
        "",
        *inner,
    ]


def _resolved(root: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    reference = part.get("$ref")
    if reference is None:
        return dict(part)
    found = root["$defs"][str(reference).removeprefix("#/$defs/")]
    return {**found, **{key: value for key, value in part.items() if key != "$ref"}}


def _without_null(root: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """What a key holds when it holds anything: TOML has no null, leaving it out is the way."""
    choices = [choice for choice in part.get("anyOf", ()) if choice.get("type") != "null"]
    return _resolved(root, choices[0] if choices else part)


def _words(kind: Mapping[str, Any]) -> str:
    if "const" in kind:
        return _toml(kind["const"])
    if "enum" in kind:
        return " or ".join(_toml(value) for value in kind["enum"])
    match kind.get("type"):
        case "array":
            return f"list of {_words(kind['items'])}"
        case "object":
            return "table"
        case "boolean":
            return "true or false"
        case "integer" | "number":
            noun = "whole number" if kind["type"] == "integer" else "number"
            return " ".join(word for word in (noun, *_bounds(kind)) if word)
        case _:
            return "path" if kind.get("format") == "path" else "text"


def _bounds(kind: Mapping[str, Any]) -> list[str]:
    low, high = kind.get("minimum"), kind.get("maximum")
    if low is not None and high is not None:
        return [f"from {low:g} to {high:g}"]
    bounds = []
    if low is not None:
        bounds.append(f"of {low:g} or more")
    if "exclusiveMinimum" in kind:
        bounds.append(f"above {kind['exclusiveMinimum']:g}")
    if high is not None:
        bounds.append(f"up to {high:g}")
    return bounds


def _toml(value: object) -> str:
    """A value as it stands in a file; empty for none."""
    match value:
        case None:
            return ""
        case bool():
            return f"`{str(value).lower()}`"
        case str():
            return f'`"{value}"`'
        case list():
            return "`[" + ", ".join(_toml(item).strip("`") for item in value) + "]`"
        case dict():
            pairs = (f"{key} = {_toml(item).strip('`')}" for key, item in value.items())
            return "`{ " + ", ".join(pairs) + " }`" if value else "`{}`"
        case _:
            return f"`{value}`"
