"""The settings of a ball dispenser: one kind of table for each driver.

What a driver's own documents leave open can be set; each default is the driver's own (`hardware/dispenser`).
Several machines may share a line: `line_complaints` says when what they need of it does not go together.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from bayd.settings.readers import device_link

DRIVERS = ("cctalk_hopper", "modbus_rtu", "pulse_relay")
DEFAULT_DRIVER = DRIVERS[0]
WRONG_DRIVER = "dispenser_driver"  # the error type of a table whose driver is none of them
NONE = "none"  # for a register that this PLC does not have

_BOARD_CHANNELS = {"lcus": 8, "kmtronic": 8, "numato": 16, "waveshare_flash": 32}
_READ_LIMIT = 125  # registers in one request (Modbus application protocol V1.1b3, 6.3)
_BEAM = "beam"

Register = Annotated[int, Field(ge=0, le=65_535)]
BallLevel = Literal["empty", "low", "ok", "full"]


class _Machine(BaseModel):
    """What every dispenser has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    link: Annotated[str, AfterValidator(device_link)] = Field(
        description="`/dev/serial/by-id/…` (a name that a reboot does not change) or `socket://host:port`. "
        "Machines of one kind may share a line, each under its own address."
    )
    capacity_balls: int | None = Field(
        None,
        ge=1,
        description="Balls in the full machine. With it, or with the number given at a refill, bayd keeps "
        "the stock and says when it will be empty.",
    )
    low_balls: int = Field(
        100, ge=0, description="By the stock: low from here on. A level sensor, where one is fitted, decides."
    )
    low_margin_balls: int = Field(
        50, ge=0, description="By the stock: no longer low with so many more than `low_balls`."
    )
    level_steady_s: float = Field(
        15,
        ge=0,
        le=3_600,
        description="A level sensor must say the same for so long: balls roll over it while others fall.",
    )

    @property
    def step(self) -> int:
        """Balls of the smallest payout."""
        return 1


class CctalkHopper(_Machine):
    """A ccTalk hopper: counts each ball, and remembers over a power cut."""

    driver: Literal["cctalk_hopper"] = Field("cctalk_hopper", description="What kind of machine it is.")
    address: int = Field(3, ge=3, le=10, description="Set on the hopper's connector.")
    dispense_form: Literal["serial", "code"] | None = Field(
        None,
        description="What goes with the dispense command: the serial number, or eight zero bytes. "
        "Default: by the product code.",
    )
    checksum: Literal["sum8", "crc16"] = Field(
        "sum8", description="Of the whole line; a switch on some hoppers."
    )
    echo: bool = Field(
        True,
        description="The single wire gives back what is sent. `false` for an interface that removes it.",
    )
    dispense_count: bool = Field(
        True,
        description="Believe the lifetime count (header 168). `false` for a hopper whose count lags behind.",
    )
    zero_payout: bool = Field(
        False,
        description="Where there is no lifetime count: dispense 0 before each payout, so that its registers "
        "speak of this payout alone. Only for hoppers whose manual says that 0 is legal.",
    )


class Registers(BaseModel):
    """Addresses of a PLC's holding registers, as they are on the wire: the first is 0."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    request: Register = Field(
        0, description="Two registers: the count, and directly after it the request id. Written together."
    )
    stop: Register | Literal["none"] = Field(
        2, description='Not 0 ends the payout. `"none"`: the PLC offers none, and a staff end waits for it.'
    )
    clear: Register | Literal["none"] = Field(
        3, description='Not 0 takes the fault away. `"none"`: a button on the machine does.'
    )
    ack_id: Register = Field(10, description="Mirrors the request id that is served.")
    delivered: Register = Field(11, description="Balls of that request that are out.")
    state: Register = Field(12, description="What the motor does; see `running_states`.")
    fault: Register = Field(13, description="0: none; see `faults`.")
    total: Register | Literal["none"] = Field(
        14,
        description="All balls ever, modulo 65536, kept over power cuts: what decides after one. Without it "
        "a payout that a power cut interrupts is unknown.",
    )
    level: Register | Literal["none"] = Field(15, description="How full it is; see `levels`.")

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        used = {self.request: "request", self.request + 1: "the request id after request"}
        for name in type(self).model_fields:
            address = getattr(self, name)
            if name == "request" or address == NONE:
                continue
            if address in used:
                raise _refusal(f"{name}: register {address} is used twice (also {used[address]})")
            used[address] = name
        read = [self.ack_id, self.delivered, self.state, self.fault]
        read += [] if self.total == NONE else [int(self.total)]
        span = max(read) - min(read) + 1
        if span > _READ_LIMIT:
            raise _refusal(
                f"ack_id, delivered, state, fault and total span {span} registers; they are read in one "
                f"request, and that takes {_READ_LIMIT}"
            )
        return self


class ModbusRtu(_Machine):
    """A PLC that counts, and starts a request once: Modbus RTU with a register map of the site's own."""

    driver: Literal["modbus_rtu"] = Field(description="What kind of machine it is.")
    unit: int = Field(1, ge=1, le=247, description="The PLC's number on the line.")
    baudrate: int = Field(9600, ge=1200, le=115_200, description="Of the whole line.")
    parity: Literal["N", "E", "O"] = Field("N", description="Of the whole line.")
    stopbits: Literal[1, 2] = Field(1, description="Of the whole line.")
    max_per_payout: int = Field(
        255, ge=1, le=65_535, description="The most that the PLC takes in one request; more is split."
    )
    registers: Registers = Field(
        Registers(),
        description="Addresses of its holding registers, as they are on the wire: the first is 0.",
    )
    running_states: tuple[int, ...] = Field((1,), description="Values of `state` while the motor works.")
    faults: Mapping[int, str] = Field(
        {1: "jam", 2: "empty", 3: "lid open"}, description="Values of `fault`, and what staff are told."
    )
    levels: Mapping[int, BallLevel] = Field(
        {0: "empty", 1: "low", 2: "ok", 3: "full"}, description="Values of `level`."
    )


class Feedback(BaseModel):
    """A light beam behind the machine that each ball interrupts: it closes the loop."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Literal["gpio", "modbus"] = Field(
        description="`gpio`: an input of the Numato board itself; `modbus`: a discrete input (function 2)."
    )
    number: int = Field(0, ge=0, le=65_535, description="Which input; the first is 0.")
    link: Annotated[str, AfterValidator(device_link)] | None = Field(
        None, description="modbus: where its device is. Default: on the line of a waveshare_flash board."
    )
    unit: int = Field(1, ge=1, le=247, description="modbus: the device's number on the line.")
    baudrate: int = Field(9600, ge=1200, le=115_200, description="modbus: of the whole line.")


class PulseRelay(_Machine):
    """A machine that a relay board starts by pulses on its coin input. It tells nothing: open loop."""

    driver: Literal["pulse_relay"] = Field(description="What kind of machine it is.")
    board: Literal["lcus", "kmtronic", "numato", "waveshare_flash"] = Field(
        description="`waveshare_flash` times the pulse itself: even a daemon that dies leaves no contact "
        "closed. lcus never answers, so a lost command goes unnoticed."
    )
    channels: int = Field(8, ge=1, le=32, description="Relays on the board: all are opened at the start.")
    channel: int = Field(1, ge=1, le=32, description="The relay on this machine's coin input.")
    unit: int = Field(1, ge=1, le=247, description="waveshare_flash: the board's number on the line.")
    baudrate: int = Field(9600, ge=1200, le=115_200, description="waveshare_flash: of the whole line.")
    balls_per_pulse: int = Field(
        25, ge=1, le=1_000, description="What one pulse pays: a tip of the tray. Payouts are multiples of it."
    )
    pulse_s: float = Field(
        0.1,
        gt=0,
        le=10,
        description="So long the contact closes; waveshare_flash counts in tenths of a second.",
    )
    gap_s: float = Field(
        0.5, gt=0, le=60, description="Open contact between two pulses; with less the machine sees one."
    )
    payout_s: float = Field(
        4.0,
        gt=0,
        le=300,
        description="From a pulse until the last ball; with `feedback`: so long without a ball ends the "
        "count.",
    )
    feedback: Feedback | None = Field(None, description="Default: nothing counts what falls.")

    @property
    def step(self) -> int:
        return self.balls_per_pulse

    @model_validator(mode="after")
    def _fits_the_board(self) -> Self:
        most = _BOARD_CHANNELS[self.board]
        if self.channels > most:
            raise _refusal(f"channels: a board of the kind {self.board} has at most {most}")
        if self.channel > self.channels:
            raise _refusal(f"channel: the board has channels 1 to {self.channels}")
        if self.board != "waveshare_flash":
            for key in ("unit", "baudrate"):
                if getattr(self, key) != type(self).model_fields[key].default:
                    raise _refusal(f"{key}: only for waveshare_flash; other boards have a port of their own")
        if self.feedback is None:
            return self
        if self.feedback.input == "gpio" and self.board != "numato":
            raise _refusal("feedback.input: only a numato board has inputs of its own; use modbus")
        if self.feedback.input == "modbus" and self.feedback.link is None and self.board != "waveshare_flash":
            raise _refusal("feedback.link: is missing: this board's line carries no Modbus")
        return self


def _driver_of(table: object) -> str:
    if isinstance(table, Mapping):
        return str(table.get("driver", DEFAULT_DRIVER))
    return str(getattr(table, "driver", ""))


Dispenser = Annotated[
    Annotated[CctalkHopper, Tag("cctalk_hopper")]
    | Annotated[ModbusRtu, Tag("modbus_rtu")]
    | Annotated[PulseRelay, Tag("pulse_relay")],
    Discriminator(
        _driver_of,
        custom_error_type=WRONG_DRIVER,
        custom_error_message="there is no such driver; there are " + ", ".join(DRIVERS),
    ),
]


def size_complaints(
    play: Mapping[str, Any], dispensers: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    """Sizes that a machine cannot pay would be refused at each press. Works on raw tables."""
    choices, cap = play.get("dispense_choices"), play.get("dispense_cap_balls")
    sizes = [size for size in choices if isinstance(size, int)] if isinstance(choices, list | tuple) else []
    most = play.get("dispense_max_balls", 200)
    for size in sizes:
        if isinstance(most, int) and size > most:
            yield "play.dispense_choices", f"{size} is more than dispense_max_balls ({most})"
    policy = play.get("dispense_step", "refuse")
    for name, step in ((name, step_of(table)) for name, table in dispensers.items()):
        pays = f"dispensers.{name} pays {step} balls at once"
        odd = [size for size in sizes if size % step]
        small = [size for size in sizes if size < step]
        if isinstance(most, int) and most < step:
            yield "play.dispense_max_balls", f"{most} is too few: {pays}"
        elif small and policy == "round_down":
            yield "play.dispense_choices", f"{small[0]} rounded down is nothing: {pays}"
        elif odd and policy == "refuse":
            yield (
                "play.dispense_choices",
                f"{odd[0]} is no multiple: {pays}; correct it, or set dispense_step",
            )
        if isinstance(cap, int) and cap < step:
            yield "play.dispense_cap_balls", f"{cap} is too few: {pays}"


@dataclass(frozen=True, slots=True)
class _Use:
    """One device on a line, as the raw tables have it."""

    path: str
    link: str
    line: str  # protocol and speed: all devices of a line agree in it
    unit: str  # which device; machines share one only as channels of a board
    kind: str  # and only as channels of the same board
    key: str  # what to change where two are in one place
    place: str


def step_of(table: Mapping[str, Any]) -> int:
    """Of a raw table: balls of the smallest payout."""
    step = table.get("balls_per_pulse", 25) if _driver_of(table) == "pulse_relay" else 1
    return step if isinstance(step, int) and step > 0 else 1


def line_complaints(dispensers: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Path and complaint where two machines on one line get into each other's way. Works on raw tables."""
    lines: dict[str, _Use] = {}
    devices: dict[tuple[str, str], _Use] = {}
    places: dict[tuple[str, str, str], _Use] = {}
    for use in (use for name, table in dispensers.items() for use in _uses(f"dispensers.{name}", table)):
        first = lines.setdefault(use.link, use)
        if first.line != use.line:
            text = f"the port is used twice: {first.path} needs {first.line} there, this {use.line}"
            yield f"{use.path}.link", text
            continue
        if use.kind == _BEAM:
            continue  # asks what anybody may ask
        device = devices.setdefault((use.link, use.unit), use)
        taken = places.setdefault((use.link, use.unit, use.place), use)
        if device.kind != use.kind:
            yield f"{use.path}.unit", f"{device.path} is another kind of device under the same number"
        elif taken is not use:
            yield f"{use.path}.{use.key}", f"is used twice on this line (also {taken.path}.{use.key})"


def _uses(path: str, table: Mapping[str, Any]) -> Iterator[_Use]:
    link, unit, channel = table.get("link"), str(table.get("unit", 1)), str(table.get("channel", 1))
    baudrate, channels = table.get("baudrate", 9600), table.get("channels", 8)
    if not isinstance(link, str):
        return
    match _driver_of(table):
        case "cctalk_hopper":
            line = f"ccTalk with {table.get('checksum', 'sum8')} and echo = {table.get('echo', True)}"
            address = str(table.get("address", 3))
            yield _Use(path, link, line, address, "hopper", "address", address)
        case "modbus_rtu":
            line = _modbus(baudrate, table.get("parity", "N"), table.get("stopbits", 1))
            yield _Use(path, link, line, unit, "PLC", "unit", unit)
        case "pulse_relay" if table.get("board") == "waveshare_flash":
            kind = f"board of {channels} relays"
            yield _Use(path, link, _modbus(baudrate), unit, kind, "channel", channel)
        case "pulse_relay":
            line = f"a {table.get('board')} board of {channels} relays"
            yield _Use(path, link, line, "", "board", "channel", channel)
        case _:
            return
    beam = table.get("feedback")
    if isinstance(beam, Mapping) and isinstance(beam.get("link"), str):
        yield _Use(f"{path}.feedback", beam["link"], _modbus(beam.get("baudrate", 9600)), "", _BEAM, "", "")


def _modbus(baudrate: object, parity: object = "N", stopbits: object = 1) -> str:
    return f"Modbus at {baudrate} 8{parity}{stopbits}"


def _refusal(text: str) -> PydanticCustomError:
    return PydanticCustomError("dispenser", "{text}", {"text": text})
