"""What the API answers about devices, to technicians."""

from pydantic import BaseModel, ConfigDict, Field

from bayd.core.model import DeviceState
from bayd.web.documents import DispenserSection, ReaderSection


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HeldDevice(_Document):
    """A device whose port the daemon holds."""

    kind: str = Field(description="reader, dispenser")
    name: str
    driver: str
    link: str
    state: DeviceState
    reason: str
    model: str = Field(description="As the device says; empty: it has not.")
    firmware: str
    bays: list[str]
    level: str | None = Field(description="Of a dispenser: empty, low, ok, full, unknown.")
    details: dict[str, str] = Field(description="What else the device said of itself.")


class HeldDevicesDocument(_Document):
    devices: list[HeldDevice]


class ExchangeView(_Document):
    """One question and the frames that answered it, in hexadecimal."""

    question: str
    sent: str
    got: list[str]


class ReaderIdentityDocument(_Document):
    """What a reader says of itself."""

    driver: str
    baudrate: int | None = Field(description="null: not a serial line.")
    model: str
    firmware: str
    port_count: int | None = Field(description="null: it does not tell.")
    power_dbm: list[int] = Field(description="Per port, or one for all; empty: it does not tell.")
    antennas: dict[str, bool | None] = Field(description="By port.")
    return_loss_db: dict[str, int] = Field(description="By port, where it measures that.")
    facts: dict[str, str]
    exchanges: list[ExchangeView]


class PowerDocument(_Document):
    before_dbm: list[int]
    power_dbm: list[int] = Field(description="Per port, or one for all; empty: it does not tell.")
    refused: list[str] = Field(description="What the reader would not take, and why.")


class CommitsView(_Document):
    """The journal's last commits, from a decision until it is durable."""

    seen: int = Field(description="So many of them; 100 at most.")
    median_ms: float | None
    worst_ms: float | None
    waiting: int = Field(description="Writes that wait for the disk now.")


class FiguresDocument(_Document):
    """What moves; rates are differences between two answers."""

    at_s: float = Field(description="Since the machine was started, suspended time included.")
    readers: dict[str, ReaderSection]
    dispensers: dict[str, DispenserSection]
    commits: CommitsView
    outbox: int = Field(description="Events that wait for the central server.")
    oldest_s: float | None
    parked: int
