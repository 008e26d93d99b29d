"""The settings of a reader, and the power that its region allows.

No reader was at hand when the drivers were written, so whatever the documents leave open can be set; each
default is the driver's own (`hardware/rfid/*_settings.py`). What belongs to the other family is refused.

A radio law limits what leaves the antenna, a reader sets what enters its cable:
`power_dbm + antenna_gain_dbi - cable_loss_db` must not exceed the region's limit.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

HIGHEST_DBM = 33  # both families: what their frames can say, and their amplifiers give
USUAL_BAUD = {"r2000_a0": 115_200, "uhfreader288": 57_600}
PIT = "pit:"
RETURN = "return"

_R2000_ONLY = ("power_mode", "request_form", "deaf_s", "rssi_floor_dbm")
_UHF288_ONLY = ("scan_time_ms",)
_FOUR_PORT = "4-port"  # the request form that has no room for port 5
_R2000_RAW_AT_0_DBM = 129  # wire/rfid.md: dBm = (byte & 0x7F) - 129
_ERP_IN_DBI = 2.15  # ERP is told against a dipole, EIRP against nothing


class Region(StrEnum):
    ETSI = "etsi"
    FCC = "fcc"
    INDIA = "india"


@dataclass(frozen=True, slots=True)
class RegionLimit:
    eirp_dbm: float
    conducted_dbm: float
    source: str


REGION_LIMITS: Mapping[Region, RegionLimit] = {
    Region.ETSI: RegionLimit(33 + _ERP_IN_DBI, HIGHEST_DBM, "ERC/REC 70-03 annex 11: 2 W ERP in 865-868 MHz"),
    Region.FCC: RegionLimit(36, 30, "47 CFR 15.247: 1 W conducted, 4 W EIRP in 902-928 MHz"),
    Region.INDIA: RegionLimit(
        36 + _ERP_IN_DBI, 30, "G.S.R. 168(E) of 2005: 1 W transmitter, 4 W ERP in 865-867 MHz"
    ),
}


def device_link(link: str) -> str:
    """Raises ValueError, with what to write instead."""
    if link.startswith("/"):
        return link
    try:
        parts = urlsplit(link)
        # Nothing behind the port: whoever opens it would not know what to do with that.
        whole = link == f"socket://{parts.netloc}" and parts.username is None
        good = whole and bool(parts.hostname) and bool(parts.port)
    except ValueError:
        good = False
    if not good:
        raise ValueError("is no link; write a path below /dev or socket://HOST:PORT")
    return link


def highest_power_dbm(region: Region, antenna_gain_dbi: float, cable_loss_db: float) -> int:
    """What may be set at the reader, in whole dBm."""
    limit = REGION_LIMITS[region]
    radiated = limit.eirp_dbm - antenna_gain_dbi + cable_loss_db
    return max(0, min(HIGHEST_DBM, math.floor(limit.conducted_dbm), math.floor(radiated + 1e-9)))


def percent_as_dbm(percent: int, highest_dbm: int) -> int:
    """Per cent of the highest power in watts, in whole dBm, never more."""
    return max(0, math.floor(highest_dbm + 10 * math.log10(percent / 100) + 1e-9))


class Reader(BaseModel):
    """One RFID reader. The table's name is the reader's id at the central server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    driver: Literal["r2000_a0", "uhfreader288"] = Field(
        "r2000_a0", description="The family that it speaks; `bayd reader identify` finds out."
    )
    link: Annotated[str, AfterValidator(device_link)] = Field(
        description="`/dev/serial/by-id/…` (a name that a reboot does not change) or `socket://host:port`."
    )
    baudrate: int | None = Field(
        None,
        ge=1,
        description="Of a serial link. Default: the family's own (r2000_a0: 115200, uhfreader288: 57600).",
    )
    rs485: bool = Field(
        False,
        description="The kernel switches the direction of an RS-485 line. Leave it off for adapters that do "
        "so by themselves, as nearly all do.",
    )
    address: int = Field(
        255, ge=0, le=255, description="255 speaks to whatever reader is there; set it for several on a line."
    )
    port_count: Literal[1, 4, 8, 12, 16] | None = Field(
        None,
        description='How many antenna ports the reader has. Default: 8 (4 with `request_form = "4-port"`), '
        "or 16 where `ports` needs more. Twelve- and sixteen-port readers number their antennas in another "
        "way.",
    )
    ports: Mapping[str, str] = Field(
        description="Antenna port -> bay number; `return` where balls come back and count anew; or "
        "`pit:NAME`, a target by its name at the central server. Ports count from 1, as on the label."
    )
    region: Region = Field(
        Region.ETSI,
        description="Whose radio law holds: `etsi`, `fcc` or `india`. More power than it allows is refused.",
    )
    antenna_gain_dbi: float = Field(
        8.5,
        ge=-10,
        le=20,
        description="Of the antennas, from their data sheet; the law limits what they send.",
    )
    cable_loss_db: float = Field(
        0, ge=0, le=20, description="Between reader and antennas, which may be made good for."
    )
    power_unit: Literal["dbm", "percent"] = Field(
        "dbm",
        description="Of `power` and `port_power`. The central server writes powers without a unit; where it "
        "has values such as 55 or 100 they are per cent of the highest that is allowed.",
    )
    power: int = Field(
        20, ge=0, le=100, description="Of every port. More reads farther, into the neighbour's bay too."
    )
    port_power: Mapping[str, Annotated[int, Field(ge=0, le=100)]] = Field(
        {}, description="Of single ports: port -> power, where one differs."
    )
    power_mode: Literal["flash", "ram"] = Field(
        "flash",
        description="r2000_a0: `flash` keeps a power per port in the reader, written only when it differs; "
        "`ram` spares the flash but knows 20 dBm and more only.",
    )
    request_form: Literal["4-port", "8-port", "8-port-long"] | None = Field(
        None,
        description="r2000_a0: the size of the inventory request. Default: by the number of ports; one that "
        "the reader refuses is followed by the next.",
    )
    scan_time_ms: int = Field(
        100,
        ge=100,
        le=25_500,
        multiple_of=100,
        description="uhfreader288: the longest that one inventory lasts. Longer ones slow the round down.",
    )
    rssi_floor_dbm: int | None = Field(
        None, ge=-128, le=0, description="r2000_a0: weaker reads are not counted. Default: every read is."
    )
    rssi_floor_raw: int | None = Field(
        None,
        ge=0,
        le=255,
        description="The same in the reader's own figures, which `bayd reader watch` shows: the uhfreader288 "
        "family knows no dBm. Default: every read is counted.",
    )
    port_floor: Mapping[str, Annotated[int, Field(ge=-128, le=255)]] = Field(
        {},
        description="Of single ports: port -> floor, where one differs; below 0 in dBm (r2000_a0), from 0 on "
        "in the reader's own figures.",
    )
    reply_timeout_s: float = Field(
        0.5, gt=0, le=60, description="An answer that takes longer is asked for again."
    )
    silent_rounds: int = Field(
        3,
        ge=1,
        le=100,
        description="Rounds without an answer, one after the other, until the reader is reset (r2000_a0) or "
        "its link opened anew (uhfreader288).",
    )
    deaf_s: float = Field(
        1, gt=0, le=60, description="r2000_a0: so long is a reader left alone after a reset; not documented."
    )
    probe_interval_s: float = Field(
        60, gt=0, le=86_400, description="How often a port without an antenna is looked at again."
    )
    round_grace_s: float = Field(
        0.5,
        ge=0.1,
        le=60,
        description="A round that has not ended so long after the longest it may take is lost, and asked for "
        "again; its ports are blind meanwhile.",
    )
    reopen_s: tuple[Annotated[float, Field(gt=0, le=600)], ...] = Field(
        (0.5, 1, 2, 3),
        min_length=1,
        description="Pauses before a lost link is opened anew, a quarter more or less by chance; the last "
        "one goes on. An adapter that is plugged in again ends them at once.",
    )
    supervise_interval_s: float = Field(
        5, gt=0, le=3_600, description="How often a reader is asked whether it is there while nobody plays."
    )
    fault_after_s: float = Field(
        60,
        gt=0,
        le=86_400,
        description="A reader that is away for so long wants a person: a warning says so.",
    )

    @property
    def highest_power_dbm(self) -> int:
        return highest_power_dbm(self.region, self.antenna_gain_dbi, self.cable_loss_db)

    def power_dbm(self, port: int) -> int:
        """What this port is set to."""
        return self.dbm_of(self.port_power.get(str(port), self.power))

    @property
    def antenna_ports(self) -> int:
        """How many it has. Few of them in use say little: most readers have eight."""
        highest = max((int(port) for port in self.ports), default=1)
        usual = 4 if self.request_form == _FOUR_PORT else 8
        return self.port_count or (usual if highest <= usual else 16)

    def floor_dbm(self, port: int) -> int | None:
        """Weaker reads of this port are not counted; None: the family knows no dBm, or every read is."""
        if self.driver != "r2000_a0":
            return None
        own = self.port_floor.get(str(port))
        if own is not None:
            return own if own < 0 else own - _R2000_RAW_AT_0_DBM
        floors = [] if self.rssi_floor_dbm is None else [self.rssi_floor_dbm]
        if self.rssi_floor_raw is not None:
            floors.append(self.rssi_floor_raw - _R2000_RAW_AT_0_DBM)
        return max(floors, default=None)

    def floor_raw(self, port: int) -> int | None:
        """The same in the reader's own figures, for reads without dBm."""
        return self.port_floor.get(str(port), self.rssi_floor_raw)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for key in _UHF288_ONLY if self.driver == "r2000_a0" else _R2000_ONLY:
            if getattr(self, key) != type(self).model_fields[key].default:
                raise _refusal(f"{key} is not for {self.driver}")
        for port in self.ports:
            if self.port_count is not None and port.isdecimal() and int(port) > self.port_count:
                raise _refusal(f"ports.{port}: port_count is {self.port_count}")
        if self.request_form == _FOUR_PORT and self.antenna_ports > 4:
            raise _refusal(
                f'request_form: "{_FOUR_PORT}" reaches ports 1 to 4 only; `ports` or `port_count` say more'
            )
        for key, of_ports in {"port_power": self.port_power, "port_floor": self.port_floor}.items():
            for port in of_ports:
                if port not in self.ports:
                    raise _refusal(f"{key}.{port}: this port is not among ports")
        if self.driver != "r2000_a0" and any(floor < 0 for floor in self.port_floor.values()):
            raise _refusal(
                f"port_floor: {self.driver} knows no dBm; write the reader's own figures, 0 to 255"
            )
        for key, power in {"power": self.power, **self._single_powers()}.items():
            if complaint := self.power_complaint(power):
                raise _refusal(f"{key}: {complaint}")
        return self

    def _single_powers(self) -> dict[str, int]:
        return {f"port_power.{port}": power for port, power in self.port_power.items()}

    def dbm_of(self, power: int) -> int:
        """A power in `power_unit`."""
        return power if self.power_unit == "dbm" else percent_as_dbm(power, self.highest_power_dbm)

    def power_complaint(self, power: int) -> str | None:
        """Why a power in `power_unit` cannot be; None where it can."""
        lowest, highest = (20 if self.power_mode == "ram" else 0), self.highest_power_dbm
        if self.power_unit == "percent":
            if power <= 0:
                return f"{power} per cent is no power; to switch a port off leave it out"
            power = percent_as_dbm(power, highest)
        if power > highest:
            return (
                f"{power} dBm is more than the {highest} dBm that {self.region.value} allows with an"
                f" antenna of {self.antenna_gain_dbi:g} dBi and {self.cable_loss_db:g} dB of cable"
                f" ({REGION_LIMITS[self.region].source}); lower it, or correct region, antenna_gain_dbi or"
                " cable_loss_db"
            )
        if power < lowest:
            mode = ': power_mode = "ram"' if lowest else ": a reader"
            return f"{power} dBm{mode} knows {lowest} dBm and more only"
        return None


def _refusal(text: str) -> PydanticCustomError:
    return PydanticCustomError("reader", "{text}", {"text": text})
