"""From files and environment to a configuration, or to every complaint at once.

Order of precedence: command line, environment (`BAYD_`, `__` between levels), the TOML files
(`bayd.toml`, then `conf.d/*.toml` beside it), defaults. Secrets are not here but in `bayd.credentials`.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource, SettingsError

from bayd.core.balls import BallListError, parse_balls, registered_epcs
from bayd.settings.checks import TIME_SCALE_VARIABLE, cross_checks, time_scale
from bayd.settings.complaints import Complaint, ConfigurationError
from bayd.settings.configuration import Configuration, Settings
from bayd.settings.dispensers import DRIVERS, WRONG_DRIVER
from bayd.settings.listening import listen_complaints
from bayd.settings.site import Site, State
from bayd.settings.tables import Table

_T = TypeVar("_T", bound=Table)

# Variables that begin like settings and are none: the command line reads some of them.
_OTHER_VARIABLES = frozenset(
    {TIME_SCALE_VARIABLE, "BAYD_BOOT_ID", "BAYD_CONFIG", "BAYD_SOCKET", "BAYD_TOKEN", "BAYD_URL"}
)
_CREDENTIALS = frozenset(
    {
        "site_key",
        "central_token",
        "central_admin_password",
        "central_login_pin",
        "qod_client_id",
        "qod_client_secret",
        "qod_private_key",
        "api_tokens",
    }
)


def load(path: Path, environment: Mapping[str, str] | None = None) -> Configuration:
    """Read and check everything. Raises ConfigurationError with all complaints.

    Only the list of balls may be wrong: see `registry_problem`.
    """
    environment = os.environ if environment is None else environment
    raw, complaints = _read_files(path)
    complaints += _unknown_variables(environment)
    settings: Settings | None = None
    try:
        settings = Settings(**raw)
    except ValidationError as error:
        complaints += complaints_of(error)
    except SettingsError as error:
        complaints.append(Complaint("environment", f"{error}; a whole table is written as JSON"))
    complaints += cross_checks(_merge(raw, environment_tables()))
    scale, scale_complaints = time_scale(environment, settings)
    complaints += scale_complaints
    if settings is not None:
        complaints += listen_complaints(settings)
    if settings is None or complaints:
        raise ConfigurationError(tuple(complaints))
    return with_registry(Configuration(settings, scale, None))


def load_for_start(path: Path) -> Configuration:
    """What the daemon runs with: tools go without a bay, it does not. Raises ConfigurationError."""
    configuration = load(path)
    if not configuration.settings.bays:
        raise ConfigurationError((Complaint("bays", "there is none; each has a table, as [bays.101]"),))
    return configuration


def with_registry(configuration: Configuration) -> Configuration:
    """With the list of balls as it is now. One that cannot be used stops no bay: nothing is counted."""
    registry = configuration.settings.balls.registry
    if registry is None:
        return replace(configuration, registered_balls=None, registry_problem=None)
    try:
        balls = registered_epcs(parse_balls(registry.read_text()))
    except (OSError, UnicodeDecodeError, BallListError) as error:
        return replace(configuration, registered_balls=None, registry_problem=f"{registry}: {error}")
    return replace(configuration, registered_balls=balls, registry_problem=None)


def files_of(path: Path) -> tuple[Path, ...]:
    """The files that make up the configuration, later ones over earlier ones."""
    return (path, *sorted((path.parent / "conf.d").glob("*.toml")))


def read_tables(path: Path) -> tuple[dict[str, Any], list[Complaint]]:
    """What files and environment say, as far as they can be read: not checked."""
    raw, complaints = _read_files(path)
    return _merge(raw, environment_tables()), complaints


def find_unreadable(path: Path) -> Complaint | None:
    """Of the file itself, whatever is in it or beside it."""
    try:
        path.open().close()
    except OSError as error:
        return _unreadable(path, error)
    return None


def read_places(path: Path) -> tuple[Site, State, list[Complaint]]:
    """Whose time of day, and where the journal is: for tools that need nothing else, whatever else is wrong.

    What is wrong of these two is complained of, and is its default.
    """
    tables, complaints = read_tables(path)
    site = _one(Site, tables, "site", "timezone", complaints)
    state = _one(State, tables, "state", "dir", complaints)
    return site, state, complaints


def _one(model: type[_T], tables: Mapping[str, Any], table: str, key: str, complaints: list[Complaint]) -> _T:
    """The table with this key alone."""
    written = tables.get(table, {})
    if not isinstance(written, Mapping):
        complaints.append(Complaint(table, "should be a table"))
        return model()
    try:
        return model(**{key: written[key]}) if key in written else model()
    except ValidationError as error:
        complaints += complaints_of(error, table)
        return model()


def complaints_of(error: ValidationError, *table: str) -> list[Complaint]:
    """In the words of the file; `table` is where the checked part of it stands."""
    return [
        Complaint(_where((*table, *each["loc"]), each["type"]), _explained(each)) for each in error.errors()
    ]


def _read_files(path: Path) -> tuple[dict[str, Any], list[Complaint]]:
    merged: dict[str, Any] = {}
    complaints: list[Complaint] = []
    for file in files_of(path):
        try:
            merged = _merge(merged, tomllib.loads(file.read_text()))
        except OSError as error:
            complaints.append(_unreadable(file, error))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            complaints.append(Complaint(str(file), f"is not TOML: {error}"))
    # pydantic-settings takes arguments such as _env_prefix as orders to itself.
    private = [key for key in merged if key.startswith("_")]
    complaints += [Complaint(key, "is no setting") for key in private]
    return {key: value for key, value in merged.items() if key not in private}, complaints


def _unreadable(file: Path, error: OSError) -> Complaint:
    advice = f"; another file: --config FILE; a first one: bayd init --config {file}"
    text = f"cannot be read: {error.strerror}"
    return Complaint(str(file), text + advice * isinstance(error, FileNotFoundError))


def _merge(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in more.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def environment_tables() -> dict[str, Any]:
    """The tables that the environment overlays; what cannot be parsed is complained of where it is used."""
    try:
        overlay: dict[str, Any] = EnvSettingsSource(Settings)()
    except SettingsError:
        return {}
    return overlay


def _unknown_variables(environment: Mapping[str, str]) -> list[Complaint]:
    """pydantic-settings passes over what it does not know: a typing error would go unseen."""
    known = {name.upper() for name in (*Settings.model_fields, *_CREDENTIALS)}
    return [
        Complaint(name, "is no setting")
        for name in sorted(environment)
        if name.startswith("BAYD_")
        and name not in _OTHER_VARIABLES
        and name.removeprefix("BAYD_").split("__")[0] not in known
    ]


def _where(location: tuple[int | str, ...], kind: str) -> str:
    """The key as it stands in the file: which driver's table was meant is no part of it."""
    if location[:1] == ("dispensers",) and location[2:3] and location[2] in DRIVERS:
        location = (*location[:2], *location[3:])
    if kind == WRONG_DRIVER:
        location = (*location, "driver")
    return ".".join(str(part) for part in location) or "the file"


def _explained(error: Any) -> str:
    match error["type"]:
        case "extra_forbidden":
            return "is no setting"
        case "missing":
            return "is missing"
        case "model_type" | "dict_type":
            return "should be a table"
    return str(error["msg"]).removeprefix("Input ").removeprefix("Value error, ")
