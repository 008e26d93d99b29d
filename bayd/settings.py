"""The configuration: what the files may say, what it means, and every complaint at once.

Order of precedence: command line, environment (`BAYD_`, `__` between levels), the TOML files
(`bayd.toml`, then `conf.d/*.toml` beside it), defaults. Secrets are not here but in `bayd.credentials`.
"""

import ipaddress
import os
import tomllib
import zoneinfo
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from bayd.core.balls import BallListError, parse_balls, registered_epcs
from bayd.core.rules import (
    DowntimePolicy,
    ExtensionPolicy,
    FaultPolicy,
    Rules,
    StepPolicy,
    UnknownPolicy,
)
from bayd.dispenser_settings import (
    DRIVERS,
    WRONG_DRIVER,
    BallLevel,
    Dispenser,
    line_complaints,
    size_complaints,
)
from bayd.reader_settings import PIT, RETURN, Reader, device_link

TIME_SCALE_VARIABLE = "BAYD_TIME_SCALE"
# Variables that begin like settings and are none: the command line reads some of them.
_OTHER_VARIABLES = frozenset({TIME_SCALE_VARIABLE, "BAYD_BOOT_ID", "BAYD_CONFIG", "BAYD_URL"})
_CREDENTIALS = frozenset(
    {"site_key", "central_token", "qod_client_id", "qod_client_secret", "qod_private_key", "api_tokens"}
)

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Minutes = Annotated[int, Field(ge=0, le=10_080)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _web_address(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
        parts.port  # noqa: B018 # raises for a port that is none
    except ValueError:
        good = False
    if not good:
        raise ValueError("is no web address; write http://HOST:PORT or https://HOST")
    return url


WebAddress = Annotated[str, AfterValidator(_web_address)]


DeviceLink = Annotated[str, AfterValidator(device_link)]


def _ip_network(text: str) -> str:
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        raise ValueError("is no IP address, nor one with a mask width such as 203.0.113.0/24") from None
    return text


IpNetwork = Annotated[str, AfterValidator(_ip_network)]


def _ipv4(text: str) -> str:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        raise ValueError("is no IPv4 address") from None
    return text


def _ipv6(text: str) -> str:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        raise ValueError("is no IPv6 address") from None
    return text


def _known_timezone(name: str) -> str:
    # A machine without a time zone database cannot tell: then nothing is refused.
    known = zoneinfo.available_timezones()
    if known and name not in known:
        raise ValueError(f"there is no time zone {name!r}; write an IANA name such as Asia/Kolkata")
    return name


class Site(_Table):
    """The range as people know it."""

    name: str = Field("Golf range", description="Shown on the pages.")
    timezone: Annotated[str, AfterValidator(_known_timezone)] = Field(
        "UTC",
        description="IANA name, for times shown to people. Play itself never looks at the wall clock.",
    )
    currency: str = Field(
        "",
        description="For display only: amounts are whole numbers in the central server's own unit, passed "
        "through unchanged.",
    )


class Http(_Table):
    """The local HTTP service: screens, staff, status."""

    listen: tuple[str, ...] = Field(
        ("127.0.0.1:8470",),
        description="Addresses, `host:port`. Beyond loopback only behind a TLS proxy, or see "
        "`allow_plain_http`.",
    )
    allow_plain_http: Literal["no", "trusted-lan"] = Field(
        "no",
        description="`trusted-lan` allows addresses beyond loopback without TLS: PINs and tokens then cross "
        "that network in clear.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        ("localhost", "127.0.0.1", "::1"),
        description="Host names that requests and pages may come under; others are refused, so that a "
        "foreign page in a kiosk browser reaches nothing (DNS rebinding). Add the name that screens use.",
    )


class State(_Table):
    """Where the truth lies."""

    dir: Path = Field(
        Path("/var/lib/bayd"),
        description="Directory of the journal (`journal.db` and its companions); made if missing. A local "
        "disk: SQLite's locks do not hold on network file systems.",
    )
    journal_stall_s: Seconds = Field(
        300,
        description="A disk that hangs for longer makes systemd start the daemon anew (if its unit has a "
        "watchdog); bays end on time all the while.",
    )
    commit_timeout_s: Seconds = Field(
        5,
        description="A request that is not on the disk by then is answered 503 and never acted on, even if "
        "the disk wakes up later.",
    )


class WalkIn(_Table):
    """The customer under whom walk-ins are booked that staff sell at the bay. Nobody else may book under this
    name: by it bayd tells its own bookings from others."""

    name: str = Field("Walk-in (bay)", min_length=1, max_length=100, description="Shown at the desk.")
    phone_number: str = Field(
        pattern=r"^\+?[0-9]{3,20}$",
        repr=False,
        description="A number of the site's own: the central server wants one with each booking.",
    )


class Central(_Table):
    """The site's central server: bookings, PINs, money."""

    url: WebAddress = Field("http://127.0.0.1:4000", description="Its address, without a path.")
    poll_s: Seconds = Field(
        5,
        description="Seconds between two looks at the bookings, a fifth more or less by chance: so long may "
        "a new booking stay unseen at the bay.",
    )
    timeout_s: Seconds = Field(10, description="Seconds for one request, except verify.")
    verify_timeout_s: Seconds = Field(
        2, description="A PIN that is not answered by then is checked offline: a customer stands there."
    )
    settle_s: Seconds = Field(
        30,
        description="Seconds to wait after an unclear answer to a money call before reading back what it "
        "did. Longer than `timeout_s` and than the server may go on working on a request that was given "
        "up: else a late commit looks like none, and is sent twice.",
    )
    idempotency_keys: bool = Field(
        False,
        description="The server honours `Idempotency-Key`: then a repeat is safe and nothing is read back. "
        "An extension of the reference server; wrongly set, money is taken twice.",
    )
    bay_state: bool = Field(
        False,
        description="The server takes `POST /bay/state`, an extension of the reference server: the bay's "
        "whole state, the newest alone.",
    )
    auth: Literal["none", "bearer"] = Field(
        "none", description="`bearer` sends the credential `central_token`; the documented server wants none."
    )
    walk_in: WalkIn | None = Field(
        None, description="Without this table nothing can be sold at the bay while the desk is away."
    )

    @model_validator(mode="after")
    def _settles_after_the_time_out(self) -> "Central":
        if self.settle_s <= self.timeout_s:
            raise ValueError("settle_s must be longer than timeout_s: a late commit would be taken for none")
        return self


class Qod(_Table):
    """The mobile operator's Quality-on-Demand API. Without this table no QoS session is ever asked for."""

    dialect: Literal["tmobile-0.10", "camara-1.1"] = Field(
        "tmobile-0.10", description="Which API the operator speaks."
    )
    base_url: WebAddress = Field(
        description="The operator's API, for example `http://127.0.0.1:4010/qod/v0`."
    )
    profile: str = Field(
        "QOS_VC",
        pattern=r"^[a-zA-Z0-9_.-]+$",
        description="The QoS profile as the operator names it; QOS_VC is the one for video calls.",
    )
    application_server: IpNetwork = Field(
        description="The IP address that the screens talk to: only traffic to it is preferred."
    )
    token_url: WebAddress | None = Field(
        None, description="Where tokens are fetched. Default: as the dialect has it, on the operator's host."
    )
    timeout_s: Seconds = Field(10, description="Seconds for one request.")
    min_duration_s: int = Field(60, ge=1, description="The shortest session that the operator grants.")
    max_lease_s: int = Field(
        14_400,
        ge=60,
        le=86_400,
        description="The longest that is asked for at once: so much is paid at most for a session that a "
        "crash leaves behind.",
    )
    max_sessions_per_day: int | None = Field(
        None, ge=0, description="Beyond that bays play without. Default: 100 for each bay with a screen."
    )
    max_minutes_per_day: int | None = Field(
        None, ge=0, description="Beyond that bays play without. Default: 1440 for each bay with a screen."
    )


_IDENTIFIERS = ("phone_number", "ipv4_address", "ipv6_address")


class BayQod(_Table):
    """The device of the bay's screen in the mobile network: exactly one identifier. Never shown."""

    enabled: bool = Field(
        True, description="`false`: no QoS session for this bay; one that still runs is ended."
    )
    phone_number: str | None = Field(
        None, pattern=r"^\+?[0-9]{5,15}$", repr=False, description="The SIM's number, digits only."
    )
    ipv4_address: Annotated[str, AfterValidator(_ipv4)] | None = Field(
        None, repr=False, description="Its public IPv4 address."
    )
    ipv6_address: Annotated[str, AfterValidator(_ipv6)] | None = Field(
        None, repr=False, description="Its IPv6 address."
    )


class BaySettings(_Table):
    """One bay. The table's name is the bay's number at the central server."""

    dispenser: str | None = Field(
        None, description="The name of its dispenser; bays may share one. Default: none."
    )
    rfid: bool = Field(True, description="`false`: this bay has no antenna, and none is missed.")
    qod: BayQod | None = Field(None, description="Its screen in the mobile network. Default: no QoS session.")


class Play(_Table):
    """The rules of play, the same at all bays. `…_minutes` are booked minutes."""

    grace_minutes: Minutes = Field(
        2, description="After the end: the screen shows the result, the next guest may type a PIN."
    )
    warn_minutes: tuple[Minutes, ...] = Field(
        (10, 5, 1), description="Warnings on the screen, in minutes before the end."
    )
    next_pin_minutes: Minutes = Field(
        5, description="So long before the end the next session's PIN may be typed."
    )
    pin_tries: int = Field(5, ge=1, description="Wrong PINs in a row until the pad locks.")
    pin_lock_minutes: int = Field(
        1,
        ge=1,
        description="The first lock; each further wrong PIN doubles it. Five tries and then doubling locks "
        "leave a guesser about 30 tries a day out of a million PINs.",
    )
    pin_lock_max_minutes: int = Field(60, ge=1, description="The longest lock.")
    booking_horizon_minutes: Minutes = Field(
        1440, description="Older bookings of the server are ignored: it lists abandoned ones as live."
    )
    extension: ExtensionPolicy = Field(
        ExtensionPolicy.ASK,
        description='A press on "more time": `ask` staff; `on_account`: granted at once, due at reception '
        "(needs `extension_price`, else it asks); `staff_only`: refused.",
    )
    extension_minutes: tuple[int, ...] = Field((15, 30, 60), description="What the screen offers.")
    extension_price: int | None = Field(
        None, description="Per minute, in the server's unit. Default: unknown, staff name the amount."
    )
    downtime: DowntimePolicy = Field(
        DowntimePolicy.CREDITED,
        description="An outage of more than 60 s: `credited` goes on with the time that was left; `counted` "
        "takes it as play, where the clocks can be trusted.",
    )
    max_credit_s: int = Field(
        1800, ge=0, description="After a longer outage the session waits, paused, for its PIN or staff."
    )
    recount_after_s: int = Field(
        120,
        ge=2,
        description="A ball counts again after so long unheard. Shorter, one that a foot covers is counted "
        "twice; longer, one that comes back quickly is missed.",
    )
    dispense_max_balls: int = Field(
        200, ge=1, description="Per press: a typing error must not empty the machine."
    )
    dispense_choices: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (), description="Sizes that the screen offers, and what is owed beside them. Default: any number."
    )
    dispense_step: StepPolicy = Field(
        StepPolicy.REFUSE,
        description="A machine that pays whole trays is asked for another number: `refuse`, `round_up` "
        "(also beyond the game's limit, by less than a tray) or `round_down`.",
    )
    dispense_cap_balls: int | None = Field(
        None,
        ge=1,
        description="A session gets so many balls in `dispense_cap_minutes` at most. Default: no cap.",
    )
    dispense_cap_minutes: int = Field(
        60, ge=1, le=10_080, description="Booked minutes; see `dispense_cap_balls`."
    )
    unknown_balls: UnknownPolicy = Field(
        UnknownPolicy.ASK,
        description="Balls of which the machine cannot say whether they came out: `ask` staff; `count` "
        "them as paid; `owe` them to the customer, who may then get them twice. Each is on record in any "
        "case.",
    )
    dispenser_fault: FaultPolicy = Field(
        FaultPolicy.PLAY_ON,
        description="The clock of a customer whose balls stick in a faulty machine: `play_on`, or `pause` "
        "until staff clear the fault. Nothing is read in a pause.",
    )
    variance_balls: int = Field(
        10,
        ge=0,
        description="At the end of a session so many balls more may have been counted than read, or read "
        "than counted, before staff are told …",
    )
    variance_percent: int = Field(
        25, ge=0, le=100, description="… or so many in a hundred of those counted, whichever is more."
    )
    variance_grant: bool = Field(
        False,
        description="What is missing beyond that is given back, as balls owed. Only where the antenna was "
        "never away.",
    )


class Balls(_Table):
    """The range's own balls."""

    registry: Path | None = Field(
        None,
        description="CSV with the columns `epc,label,added_at,retired_at`. Default: none, and no ball is "
        "counted, because a misread tag cannot be told from a ball.",
    )
    unread_warning_balls: int = Field(
        10,
        ge=1,
        description="So many balls paid out at a bay without one being read bring a warning: its antenna is "
        "connected and hears nothing.",
    )
    unread_warning_s: Seconds = Field(
        180, description="… once so much time has passed, too: people take a while from machine to tee."
    )
    central_level: Mapping[BallLevel, Annotated[int, Field(ge=0)]] = Field(
        {"empty": 0, "low": 0, "ok": 1, "full": 2},
        description="What the central server's `ballLevel` of a bay is to be. At 0 the server lists the bay "
        "for a refill: with the default, before it is empty. A level that is left out is not told.",
    )


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
    readers: Mapping[str, Reader] = Field({}, description="By the reader's id at the central server.")
    dispensers: Mapping[str, Dispenser] = Field({}, description="By a name of the site's choice.")
    bays: Mapping[str, BaySettings] = Field({}, description="By the bay's number at the central server.")
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

    def dispenser(self, number: str) -> Dispenser | None:
        """That of one bay."""
        name = self.settings.bays[number].dispenser
        return None if name is None else self.settings.dispensers[name]

    def rules(self, number: str) -> Rules:
        """The rules of one bay."""
        play, machine = self.settings.play, self.dispenser(number)
        return Rules(
            minute_ms=self.minute_ms,
            dispenser=self.settings.bays[number].dispenser,
            dispenser_step=1 if machine is None else machine.step,
            dispenser_capacity=None if machine is None else machine.capacity_balls,
            central_level={str(level): at for level, at in self.settings.balls.central_level.items()},
            dispense_max_balls=play.dispense_max_balls,
            dispense_choices=play.dispense_choices,
            step_policy=play.dispense_step,
            cap_balls=play.dispense_cap_balls,
            cap_minutes=play.dispense_cap_minutes,
            unknown_balls=play.unknown_balls,
            dispenser_fault=play.dispenser_fault,
            reads_balls=self.settings.bays[number].rfid and self.registered_balls is not None,
            variance_balls=play.variance_balls,
            variance_percent=play.variance_percent,
            variance_grant=play.variance_grant,
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
            walk_ins=self.settings.central.walk_in is not None,
        )


def load(path: Path, environment: Mapping[str, str] | None = None) -> Configuration:
    """Read and check everything. Raises ConfigurationError with all complaints."""
    environment = os.environ if environment is None else environment
    raw, complaints = _read_files(path)
    complaints += _unknown_variables(environment)
    settings: Settings | None = None
    try:
        settings = Settings(**raw)
    except ValidationError as error:
        complaints += [Complaint(_where(e), _explained(e)) for e in error.errors()]
    except SettingsError as error:
        complaints.append(Complaint("environment", f"{error}; a whole table is written as JSON"))
    complaints += _cross_checks(_merge(raw, _from_environment()))
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
    # pydantic-settings takes arguments such as _env_prefix as orders to itself.
    private = [key for key in merged if key.startswith("_")]
    complaints += [Complaint(key, "is no setting") for key in private]
    return {key: value for key, value in merged.items() if key not in private}, complaints


def _merge(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in more.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _from_environment() -> dict[str, Any]:
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


def _where(error: Any) -> str:
    """The key as it stands in the file: which driver's table was meant is no part of it."""
    location: tuple[int | str, ...] = error["loc"]
    if location[:1] == ("dispensers",) and location[2:3] and location[2] in DRIVERS:
        location = (*location[:2], *location[3:])
    if error["type"] == WRONG_DRIVER:
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


def _tables(raw: Mapping[str, Any], name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    tables = raw.get(name)
    for key, table in tables.items() if isinstance(tables, dict) else ():
        if isinstance(table, dict):
            yield key, table


def _cross_checks(raw: Mapping[str, Any]) -> list[Complaint]:
    """What no single field shows. Works on the raw tables, so that one run names everything."""
    complaints: list[Complaint] = []
    bays = {number for number, _ in _tables(raw, "bays")}
    links: dict[str, str] = {}
    screens: dict[str, str] = {}
    heard: dict[str, str] = {}
    for name, reader in _tables(raw, "readers"):
        complaints += _readers_port(links, f"readers.{name}.link", reader.get("link"))
        links |= {str(reader.get("link")): f"readers.{name}.link"}
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
            if not isinstance(place, str):
                continue  # its type is complained of elsewhere
            if place == PIT:
                complaints.append(Complaint(path, "the target has no name; write pit:S1_1 or the like"))
            elif place != RETURN and not place.startswith(PIT) and place not in bays:
                complaints.append(Complaint(path, f"there is no bay {place!r}"))
            heard[place] = path
    dispensers = dict(_tables(raw, "dispensers"))
    for name, dispenser in dispensers.items():
        complaints += _readers_port(links, f"dispensers.{name}.link", dispenser.get("link"))
    complaints += [Complaint(path, text) for path, text in line_complaints(dispensers)]
    play = raw.get("play")
    if isinstance(play, dict):
        complaints += [Complaint(path, text) for path, text in size_complaints(play, dispensers)]
    for number, bay in _tables(raw, "bays"):
        wanted = bay.get("dispenser")
        if isinstance(wanted, str) and wanted not in dispensers:
            complaints.append(Complaint(f"bays.{number}.dispenser", f"there is no dispenser {wanted!r}"))
        if number not in heard and bay.get("rfid", True) is not False:
            text = "its antenna does not exist: no reader's `ports` names this bay (or set rfid = false)"
            complaints.append(Complaint(f"bays.{number}", text))
        screen = bay.get("qod")
        if isinstance(screen, dict) and len([key for key in screen if key in _IDENTIFIERS]) != 1:
            wanted_keys = ", ".join(_IDENTIFIERS)
            complaints.append(
                Complaint(f"bays.{number}.qod", f"exactly one device identifier is wanted, of {wanted_keys}")
            )
        complaints += _shared_screen(screens, number, screen)
    return complaints


def _shared_screen(screens: dict[str, str], number: str, screen: object) -> list[Complaint]:
    """Two bays with one device would take each other's QoS session away."""
    if not isinstance(screen, dict):
        return []
    complaints = []
    for key in _IDENTIFIERS:
        device = str(screen.get(key, "")).removeprefix("+").lower()
        if device and device in screens:
            text = f"the device is used twice (also bays.{screens[device]}.qod)"
            complaints.append(Complaint(f"bays.{number}.qod.{key}", text))
        elif device:
            screens[device] = number
    return complaints


def _readers_port(links: Mapping[str, str], path: str, link: object) -> list[Complaint]:
    """A reader has its port alone."""
    other = links.get(link) if isinstance(link, str) else None
    return [] if other is None else [Complaint(path, f"the port is used twice (also {other})")]


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
