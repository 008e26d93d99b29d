"""What may differ from one 0xA0 reader to the next. Each default says why; no hardware was at hand."""

from dataclasses import dataclass
from enum import Enum

from hardware.rfid.r2000_a0 import PUBLIC_ADDRESS
from hardware.rfid.r2000_commands import FastSwitchForm
from hardware.rfid.reconnecting import REOPEN_S


class PowerMode(Enum):
    """Where a port's power is kept."""

    # 0x76: each port has its own; survives a reset. Written only on change, because flash wears out.
    FLASH = "flash"
    # 0x66: spares the flash, 20 dBm and up only; ports of another power are read in a round of their own.
    RAM = "ram"


@dataclass(frozen=True, slots=True)
class R2000Settings:
    address: int = PUBLIC_ADDRESS  # every reader obeys the public one; set it for several readers on one line
    port_count: int = 8
    form: FastSwitchForm | None = (
        None  # None: by port count; the reader's refusal (0x41) moves on to the next
    )
    power_mode: PowerMode = PowerMode.FLASH
    gen2_session: int = (
        1  # S1: a tag that lies before an antenna does not answer in every round. Long form only
    )
    interval_ms: int = 0  # rest between two ports; more only where the supply is weak
    reply_timeout_s: float = 0.5  # replies take milliseconds, a flash write up to 100
    attempts: int = 3  # for a question without an answer, before the reader counts as silent
    stay_allowance_s: float = 0.06  # twice what a round on one port takes
    round_grace_s: float = 0.5
    silent_rounds: int = 3  # rounds without any frame before the reader is reset
    deaf_s: float = 1.0  # after a reset; inferred, not documented
    error_pause_s: float = 0.25  # a reader that answers with errors at once must not spin the loop
    probe_interval_s: float = 60.0  # how often a port without an antenna is measured again
    connected_return_loss_db: int = (
        6  # an open port reflects nearly all (0-3 dB), a good antenna has 10 and more
    )
    probe_frequency_index: int = 6  # 868.0 MHz; 7 (902.0 MHz) and up where the region is FCC
    supervise_interval_s: float = 5.0  # how often an idle reader is asked whether it is there
    reopen_s: tuple[float, ...] = REOPEN_S  # waits before a lost link is opened anew, the last one goes on

    def __post_init__(self) -> None:
        if not 1 <= self.port_count <= 16:
            raise ValueError(f"port_count {self.port_count}: must be 1 to 16")
        if not 0 <= self.address <= PUBLIC_ADDRESS:
            raise ValueError(f"address {self.address}: must be 0 to 254, or 255 for any reader")
        if not 0 <= self.gen2_session <= 3:
            raise ValueError(f"gen2_session {self.gen2_session}: must be 0 to 3")
        if self.form is not None and self.form.ports < min(self.port_count, 8):
            raise ValueError(f"form {self.form.value}: does not reach all of {self.port_count} ports")

    @property
    def has_groups(self) -> bool:
        """Ports 9-16 are reached by selecting antenna group 1."""
        return self.port_count > 8

    @property
    def forms(self) -> tuple[FastSwitchForm, ...]:
        """The request forms to try, the most likely one first."""
        if self.form is not None:
            first = self.form
        else:
            first = FastSwitchForm.FOUR_PORT if self.port_count <= 4 else FastSwitchForm.EIGHT_PORT
        able = [form for form in FastSwitchForm if form.ports >= min(self.port_count, 8)]
        return (first, *(form for form in able if form is not first))
