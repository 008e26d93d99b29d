"""What holds, and why: every setting with its value and where that comes from."""

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from bayd.credentials import CREDENTIAL_NAMES, origin_of
from bayd.settings import Configuration
from bayd.settings.loading import environment_tables, files_of

MASK = "(set, not shown)"
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Effective:
    path: str
    value: Any  # as TOML would have it; None: not set
    source: str


def effective_settings(configuration: Configuration, path: Path) -> list[Effective]:
    """In the order of the reference page, secrets masked. `path`: where it was loaded from."""
    layers = [(str(file), tomllib.loads(file.read_text())) for file in files_of(path)]
    overlay = environment_tables()
    found = []
    for keys, value, field in _leaves(configuration.settings, ()):
        source = DEFAULT
        for name, tables in layers:
            source = name if _holds(tables, keys) else source
        if _holds(overlay, keys):
            source = f"environment (BAYD_{keys[0].upper()}…)"
        secret = field is not None and not field.repr and value is not None
        found.append(Effective(".".join(keys), MASK if secret else value, source))
    return found


def effective_credentials(environment: Mapping[str, str] | None = None) -> list[Effective]:
    """Which of them are there, and from where; never what they are."""
    environment = os.environ if environment is None else environment
    rows = []
    for name in CREDENTIAL_NAMES:
        try:
            origin = origin_of(name, environment)
        except PermissionError as error:
            rows.append(Effective(name, None, f"not known: only root may look into {error.filename}"))
            continue
        rows.append(Effective(name, None if origin is None else MASK, origin or "not set"))
    return rows


def _leaves(table: BaseModel, at: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any, FieldInfo | None]]:
    for name, field in type(table).model_fields.items():
        value = getattr(table, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, (*at, name))
        elif isinstance(value, Mapping) and any(isinstance(inner, BaseModel) for inner in value.values()):
            for key, inner in value.items():
                yield from _leaves(inner, (*at, name, str(key)))
        else:
            yield (*at, name), _plain(value), field


def _plain(value: Any) -> Any:
    match value:
        case Mapping():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case tuple() | list():
            return [_plain(inner) for inner in value]
        case bool() | int() | float() | None:
            return value
        case _:
            return str(value)


def _holds(tables: Mapping[str, Any], keys: tuple[str, ...]) -> bool:
    inner: Any = tables
    for key in keys:
        if not isinstance(inner, Mapping) or key not in inner:
            return False
        inner = inner[key]
    return True
