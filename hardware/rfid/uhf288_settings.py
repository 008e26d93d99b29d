"""What may differ from one reader of the UHFReader288 family to the next. No hardware was at hand."""

from dataclasses import dataclass

from hardware.rfid.reconnecting import REOPEN_S
from hardware.rfid.uhf288_commands import PORT_COUNTS, SCAN_TIME_STEP_MS
from hardware.rfid.uhfreader288 import BROADCAST


@dataclass(frozen=True, slots=True)
class Uhf288Settings:
    address: int = BROADCAST  # every reader obeys it; set the own one for several readers on one line
    port_count: int = 8
    q: int = 4  # 16 slots: a handful of tags in one inventory
    gen2_session: int = 0  # S0: a tag that lies before an antenna answers in every inventory
    target: int = 0  # A
    scan_time_ms: int = 100  # the least; longer ones make the round over all ports slow
    scan_overrun_s: float = 0.075  # so much longer may a scan take
    poll_grace_s: float = 0.4  # and the reply another moment
    reply_timeout_s: float = 0.5  # replies take milliseconds, a saved setting up to 100
    attempts: int = 3  # for a question without an answer, before the reader counts as silent
    silent_polls: int = 3  # polls in a row without a reply or with an error, before the link is reopened
    error_pause_s: float = 0.25  # a reader that answers with errors at once must not spin the loop
    probe_interval_s: float = 60.0  # how often a port without an antenna is measured again
    connected_return_loss_db: int = 6  # or the reader's own threshold, where that is higher
    probe_frequency_khz: int = 866_300  # in the region of the reader: 915 000 for FCC
    supervise_interval_s: float = 5.0  # how often an idle reader is asked whether it is there
    reopen_s: tuple[float, ...] = REOPEN_S  # waits before a lost link is opened anew, the last one goes on

    def __post_init__(self) -> None:
        if self.port_count not in PORT_COUNTS:
            raise ValueError(f"port_count {self.port_count}: must be one of {PORT_COUNTS}")
        if not 0 <= self.address <= BROADCAST:
            raise ValueError(f"address {self.address}: must be 0 to 254, or 255 for any reader")
        if self.scan_time_ms % SCAN_TIME_STEP_MS or not 0 < self.scan_time_ms <= 25_500:
            raise ValueError(f"scan_time_ms {self.scan_time_ms}: must be a multiple of 100, 100 to 25500")
        if not 0 <= self.q <= 15 or not 0 <= self.gen2_session <= 3 or self.target not in (0, 1):
            raise ValueError(
                f"q {self.q}, gen2_session {self.gen2_session}, target {self.target}: "
                "q is 0 to 15, the session 0 to 3, the target 0 or 1"
            )
