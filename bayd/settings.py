"""The configuration: what the files may say, what it means, and every complaint at once.

Order of precedence: command line, environment (`BAYD_`, `__` between levels), the TOML files
(`bayd.toml`, then `conf.d/*.toml` beside it), defaults. Secrets are not here but in `bayd.credentials`.
"""

import ipaddress
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bayd.core.balls import BallListError, parse_balls, registered_epcs
from bayd.core.rules import DowntimePolicy, ExtensionPolicy, Rules

TIME_SCALE_VARIABLE = "BAYD_TIME_SCALE"
# Variables that begin like settings and are none.
_OTHER_VARIABLES = frozenset({TIME_SCALE_VARIABLE, "BAYD_BOOT_ID", "BAYD_CONFIG"})
_CREDENTIALS = frozenset(
    {"site_key", "central_token", "qod_client_id", "qod_client_secret", "qod_private_key", "api_tokens"}
)

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Minutes = Annotated[int, Field(ge=0, le=10_080)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Site(_Table):
    name: str = Field("Golf range", description="Shown on the pages.")
    timezone: str = Field("UTC", description="IANA name, for times shown to people.")
    currency: str = Field("", description="For display; amounts are whole numbers in the server's unit.")


class Http(_Table):
    listen: tuple[str, ...] = Field(
        ("127.0.0.1:8470",), description="Addresses of the local HTTP service, `host:port`."
    )
    allow_plain_http: Literal["no", "trusted-lan"] = Field(
        "no", description="Beyond loopback without TLS only on a network that you trust."
    )
    allowed_hosts: tuple[str, ...] = Field(
        ("localhost", "127.0.0.1", "::1"),
        description="Host names that requests may be made to; others are refused (DNS rebinding).",
    )


class State(_Table):
    dir: Path = Field(Path("/var/lib/bayd"), description="Where the journal lives.")
    commit_timeout_s: Seconds = Field(
        5, description="A request that is not on the disk by then is answered 503 and never acted on."
    )


class Central(_Table):
    url: str = Field("http://127.0.0.1:4000", description="The site's central server.")
    poll_s: Seconds = Field(5, description="Between two looks at the bookings; jitter is added.")
    timeout_s: Seconds = Field(10, description="For one request.")
    verify_timeout_s: Seconds = Field(2, description="A PIN not answered by then is checked offline.")
    settle_s: Seconds = Field(
        30, description="After an unclear answer, wait this long before reading back what it did."
    )
    idempotency_keys: bool = Field(
        False, description="The server honours `Idempotency-Key` (an extension of the reference server)."
    )
    bay_state: bool = Field(
        False, description="The server takes `POST /bay/state` (an extension of the reference server)."
    )
    auth: Literal["none", "bearer"] = Field(
        "none", description="`bearer` sends the credential central_token."
    )


class Qod(_Table):
    dialect: Literal["tmobile-0.10", "camara-1.1"] = "tmobile-0.10"
    base_url: str = Field(description="The operator's API, for example http://127.0.0.1:4010/qod/v0.")
    profile: str = Field("QOS_VC", pattern=r"^[a-zA-Z0-9_.-]+$")
    application_server: str = Field(description="The address that the screens talk to.")
    timeout_s: Seconds = 10
    min_duration_s: int = Field(60, ge=1, description="The shortest session that the operator grants.")
    max_lease_s: int = Field(14_400, ge=60, le=86_400, description="The longest that is asked for at once.")


class Reader(_Table):
    driver: Literal["r2000_a0", "uhfreader288"] = "r2000_a0"
    link: str = Field(description="`/dev/serial/by-id/…` or `socket://host:port`.")
    baudrate: int | None = Field(None, description="Default: the family's own.")
    ports: Mapping[str, str] = Field(description="Antenna port -> bay number, or `return`.")
    power_dbm: int = Field(20, ge=0, le=33)
    rssi_floor_dbm: int | None = Field(None, description="Weaker reads are ignored.")


class Dispenser(_Table):
    driver: Literal["cctalk_hopper"] = "cctalk_hopper"
    link: str = Field(description="`/dev/serial/by-id/…` or `socket://host:port`; hoppers may share one.")
    address: int = Field(3, ge=3, le=10, description="Set on the hopper's connector.")
    dispense_form: Literal["serial", "code"] | None = Field(
        None,
        description="What goes with the dispense command: the serial number, or eight zero bytes. "
        "Default: by the product code.",
    )


class BayQod(_Table):
    phone_number: str | None = Field(None, pattern=r"^\+?[0-9]{5,15}$", repr=False)
    ipv4_address: str | None = Field(None, repr=False)
    ipv6_address: str | None = Field(None, repr=False)


class BaySettings(_Table):
    dispenser: str | None = Field(None, description="The name of its dispenser.")
    rfid: bool = Field(True, description="False: this bay has no antenna.")
    qod: BayQod | None = None


class Play(_Table):
    grace_minutes: Minutes = 2
    warn_minutes: tuple[Minutes, ...] = (10, 5, 1)
    next_pin_minutes: Minutes = 5
    pin_tries: int = Field(5, ge=1)
    pin_lock_minutes: int = Field(1, ge=1)
    pin_lock_max_minutes: int = Field(60, ge=1)
    booking_horizon_minutes: Minutes = 1440
    extension: ExtensionPolicy = ExtensionPolicy.ASK
    extension_minutes: tuple[int, ...] = (15, 30, 60)
    extension_price: int | None = None
    downtime: DowntimePolicy = DowntimePolicy.CREDITED
    max_credit_s: int = Field(1800, ge=0)
    recount_after_s: int = Field(120, ge=1)
    dispense_max_balls: int = Field(200, ge=1)


class Balls(_Table):
    registry: Path | None = Field(None, description="CSV of the range's own balls (EPCs).")


class Settings(BaseSettings):
    """Everything, frozen. Made by `load`."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="BAYD_", env_nested_delimiter="__", validate_default=True
    )

    site: Site = Site()
    http: Http = Http()
    state: State = State()
    central: Central = Central()
    qod: Qod | None = None
    readers: Mapping[str, Reader] = {}
    dispensers: Mapping[str, Dispenser] = {}
    bays: Mapping[str, BaySettings] = {}
    play: Play = Play()
    balls: Balls = Balls()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # The files come in through the constructor; the environment outranks them.
        return env_settings, init_settings


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong, with its TOML path (or variable, or file)."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


class ConfigurationError(Exception):
    """The configuration cannot be used; `complaints` says all that is wrong with it."""

    def __init__(self, complaints: tuple[Complaint, ...]) -> None:
        super().__init__("\n".join(str(complaint) for complaint in complaints))
        self.complaints = complaints


@dataclass(frozen=True, slots=True)
class Configuration:
    settings: Settings
    time_scale: float  # 1 in production; more lets a booked minute pass faster

    registered_balls: frozenset[str] | None  # EPCs; None: the range has no list of its balls

    @property
    def minute_ms(self) -> int:
        return round(60_000 / self.time_scale)

    def rules(self, number: str) -> Rules:
        """The rules of one bay."""
        play = self.settings.play
        return Rules(
            minute_ms=self.minute_ms,
            dispenser=self.settings.bays[number].dispenser,
            dispense_max_balls=play.dispense_max_balls,
            intent_ttl_ms=round(self.settings.state.commit_timeout_s * 1000),
            warn_minutes=play.warn_minutes,
            grace_minutes=play.grace_minutes,
            next_pin_minutes=play.next_pin_minutes,
            pin_tries=play.pin_tries,
            pin_lock_minutes=play.pin_lock_minutes,
            pin_lock_max_minutes=play.pin_lock_max_minutes,
            booking_horizon_minutes=play.booking_horizon_minutes,
            extension=play.extension,
            extension_minutes=play.extension_minutes,
            extension_price=play.extension_price,
            recount_after_ms=play.recount_after_s * 1000,
            downtime=play.downtime,
            max_credit_ms=play.max_credit_s * 1000,
        )


def load(path: Path, environment: Mapping[str, str] | None = None) -> Configuration:
    """Read and check everything. Raises ConfigurationError with all complaints."""
    environment = os.environ if environment is None else environment
    raw, complaints = _read_files(path)
    complaints += _unknown_variables(environment)
    complaints += _cross_checks(raw)
    settings: Settings | None = None
    try:
        settings = Settings(**raw)
    except ValidationError as error:
        complaints += [Complaint(_toml_path(e["loc"]), _explained(e)) for e in error.errors()]
    except Exception as error:  # noqa: BLE001 # pydantic-settings wraps what it cannot parse in errors of its own
        complaints.append(Complaint("environment", str(error)))
    scale, scale_complaints = _time_scale(environment, settings)
    complaints += scale_complaints
    balls = None
    if settings is not None and settings.balls.registry is not None:
        try:
            balls = registered_epcs(parse_balls(settings.balls.registry.read_text()))
        except (OSError, UnicodeDecodeError, BallListError) as error:
            complaints.append(Complaint("balls.registry", f"{settings.balls.registry}: {error}"))
    if settings is None or complaints:
        raise ConfigurationError(tuple(complaints))
    return Configuration(settings, scale, balls)


def _read_files(path: Path) -> tuple[dict[str, Any], list[Complaint]]:
    merged: dict[str, Any] = {}
    complaints: list[Complaint] = []
    for file in (path, *sorted((path.parent / "conf.d").glob("*.toml"))):
        try:
            merged = _merge(merged, tomllib.loads(file.read_text()))
        except OSError as error:
            complaints.append(Complaint(str(file), f"cannot be read: {error.strerror}"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            complaints.append(Complaint(str(file), f"is not TOML: {error}"))
    return merged, complaints


def _merge(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in more.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


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


def _toml_path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "the file"


def _explained(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "is no setting"
    return str(error["msg"]).removeprefix("Input ")


def _tables(raw: Mapping[str, Any], name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    tables = raw.get(name)
    for key, table in tables.items() if isinstance(tables, dict) else ():
        if isinstance(table, dict):
            yield key, table


def _cross_checks(raw: Mapping[str, Any]) -> list[Complaint]:
    """What no single field shows. Works on the raw tables, so that one run names everything."""
    complaints: list[Complaint] = []
    bays = {number for number, _ in _tables(raw, "bays")}
    links: dict[str, tuple[str, object]] = {}
    heard: dict[str, str] = {}
    for name, reader in _tables(raw, "readers"):
        complaints += _shared_link(links, f"readers.{name}.link", reader.get("link"), None)
        numbers: dict[int, str] = {}
        ports = reader.get("ports")
        for port, place in ports.items() if isinstance(ports, dict) else ():
            path = f"readers.{name}.ports.{port}"
            if not str(port).isdecimal() or not 1 <= int(port) <= 16:
                complaints.append(Complaint(path, "a port is a number from 1 to 16"))
                continue
            if int(port) in numbers:
                complaints.append(
                    Complaint(path, f"port {int(port)} is used twice (also {numbers[int(port)]})")
                )
            numbers[int(port)] = path
            if place != "return" and place not in bays:
                complaints.append(Complaint(path, f"there is no bay {place!r}"))
            heard[str(place)] = path
    for name, dispenser in _tables(raw, "dispensers"):
        address = dispenser.get("address", 3)
        complaints += _shared_link(links, f"dispensers.{name}.link", dispenser.get("link"), address)
    dispensers = {name for name, _ in _tables(raw, "dispensers")}
    for number, bay in _tables(raw, "bays"):
        wanted = bay.get("dispenser")
        if wanted is not None and wanted not in dispensers:
            complaints.append(Complaint(f"bays.{number}.dispenser", f"there is no dispenser {wanted!r}"))
        if number not in heard and bay.get("rfid", True) is not False:
            text = "its antenna does not exist: no reader's `ports` names this bay (or set rfid = false)"
            complaints.append(Complaint(f"bays.{number}", text))
        identifiers = [k for k in bay.get("qod", {}) if k in BayQod.model_fields] if "qod" in bay else None
        if identifiers is not None and len(identifiers) != 1:
            complaints.append(Complaint(f"bays.{number}.qod", "exactly one device identifier is wanted"))
    return complaints


def _shared_link(
    links: dict[str, tuple[str, object]], path: str, link: object, address: object
) -> list[Complaint]:
    """Several hoppers may share a bus under different addresses; everything else has its port alone."""
    if not isinstance(link, str):
        return []
    if link not in links:
        links[link] = (path, address)
        return []
    other, other_address = links[link]
    if address is not None and other_address is not None and address != other_address:
        return []
    return [Complaint(path, f"the port is used twice (also {other})")]


def _time_scale(environment: Mapping[str, str], settings: Settings | None) -> tuple[float, list[Complaint]]:
    text = environment.get(TIME_SCALE_VARIABLE)
    if text is None:
        return 1.0, []
    try:
        scale = float(text)
    except ValueError:
        return 1.0, [Complaint(TIME_SCALE_VARIABLE, "is not a number")]
    if not 0.1 <= scale <= 60:
        return 1.0, [Complaint(TIME_SCALE_VARIABLE, "must be between 0.1 and 60")]
    if settings is None:
        return scale, []
    refused = [
        Complaint(TIME_SCALE_VARIABLE, f"only with upstreams on loopback, and {path} is elsewhere")
        for path, url in (
            ("central.url", settings.central.url),
            ("qod.base_url", settings.qod and settings.qod.base_url),
        )
        if url and not is_loopback(urlsplit(url).hostname or "")
    ]
    links = [(f"readers.{n}.link", r.link) for n, r in settings.readers.items()]
    links += [(f"dispensers.{n}.link", d.link) for n, d in settings.dispensers.items()]
    refused += [
        Complaint(TIME_SCALE_VARIABLE, f"never with a real device, and {path} may be one")
        for path, link in links
        if not _is_simulated(link)
    ]
    return scale, refused


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_simulated(link: str) -> bool:
    if link.startswith("socket://"):
        return is_loopback(urlsplit(link).hostname or "")
    target = os.path.realpath(link)
    return target.startswith("/dev/pts/") or not target.startswith("/dev/")
