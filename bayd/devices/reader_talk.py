"""Questions to a reader, by hand: what is it, what has it, how loud does it call?

On a free port for the command line, where the family is not known yet; in the daemon between the rounds of
the reader's driver. Nothing is changed by asking: no setting is written, no inventory runs and no reset is
sent, so that asking a port with something else on it does no harm.
The frames of each question are kept, because that is what the drivers' authors need to see.
"""

import errno
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from bayd.devices.readers import R2000_PROBE_INDEX, UHF288_PROBE_KHZ
from bayd.settings.readers import Region
from hardware.link import Link, LinkError, LinkUnavailableError, opener_for
from hardware.rfid import PowerRefused, Seat, r2000_a0, uhfreader288
from hardware.rfid import r2000_commands as r2000
from hardware.rfid import uhf288_commands as uhf288
from hardware.rfid.dialogue import NoAnswerError
from hardware.rfid.line import FrameLine
from hardware.rfid.r2000_dialogue import R2000Dialogue
from hardware.rfid.r2000_power import PowerControl as R2000Power
from hardware.rfid.r2000_replies import (
    GROUP_SIZE,
    AckReply,
    DetectorReply,
    FirmwareReply,
    GroupReply,
    PowerReply,
    TemperatureReply,
)
from hardware.rfid.r2000_replies import ReturnLossReply as R2000ReturnLoss
from hardware.rfid.r2000_settings import R2000Settings
from hardware.rfid.saved_powers import RefusedPowers
from hardware.rfid.uhf288_dialogue import Uhf288Dialogue
from hardware.rfid.uhf288_power import PowerControl as Uhf288Power
from hardware.rfid.uhf288_replies import (
    POWER_PER_PORT,
    WITHOUT_ANTENNAS,
    InfoReply,
    PortPowersReply,
    ThresholdReply,
    type_name,
)
from hardware.rfid.uhf288_replies import ReturnLossReply as Uhf288ReturnLoss
from hardware.rfid.uhf288_settings import Uhf288Settings

F = TypeVar("F")

# What is tried, the likeliest first; a baud rate means nothing on a socket.
ATTEMPTS = (
    ("r2000_a0", 115_200),
    ("uhfreader288", 57_600),
    ("uhfreader288", 115_200),
    ("r2000_a0", 38_400),
)
_REPLY_TIMEOUT_S = 0.5
_FIRST_ATTEMPTS = 3  # the last round of a daemon that was just stopped may still run, for a second
_CONNECTED_DB = 6  # return loss: an open port has less
_R2000_GET_GROUP = 0x6D
_R2000_GET_REGION = 0x79


class ReaderTalkError(Exception):
    """It did not work; the message says what to do."""


class PortInUseError(ReaderTalkError):
    """Another process has the port, most likely the daemon."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question and the frames that answered it, in hexadecimal."""

    question: str
    sent: str
    got: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Identity:
    """What a reader says of itself."""

    driver: str
    baudrate: int | None  # None: not a serial line
    model: str
    firmware: str
    port_count: int | None  # None: it does not tell
    power_dbm: tuple[int, ...]  # per port, or one for all; empty: it does not tell
    return_loss_db: Mapping[int, int]  # per port, where it measures that
    facts: Mapping[str, str]
    exchanges: tuple[Exchange, ...]

    def has_antenna(self, port: int) -> bool | None:
        """None: the reader cannot tell."""
        loss_db = self.return_loss_db.get(port)
        return None if loss_db is None else loss_db >= _CONNECTED_DB

    @property
    def ports_to_read(self) -> tuple[int, ...]:
        """All that may have an antenna: an open port is not to be switched on for nothing."""
        ports = range(1, (self.port_count or 4) + 1)
        return tuple(port for port in ports if self.has_antenna(port) is not False) or tuple(ports)


class Talk(Protocol):
    """An open conversation with a reader of one family."""

    async def identify(self, region: Region) -> Identity | None:
        """None: nothing of this family answers. Raises LinkLostError."""
        ...

    async def powers(self) -> tuple[int, ...]:
        """Per port, or one for all; empty: it does not tell. Raises LinkLostError."""
        ...

    async def set_powers(self, powers: Mapping[int, int]) -> list[PowerRefused]:
        """Saved in the reader. Raises NoAnswerError, LinkLostError."""
        ...


class Turns(Protocol):
    """Whose turn it is to ask. See `hardware.rfid.Asides`."""

    def turn(self) -> AbstractAsyncContextManager[Seat]:
        """Raises ReaderAwayError."""
        ...


class _OwnSeat:
    """A link that nobody else uses: everybody's turn is always."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Seat]:
        yield self._seat


@dataclass(slots=True)
class _Record:
    """The exchanges so far."""

    decode: Callable[[bytes], Sequence[Any]]
    exchanges: list[Exchange] = field(default_factory=list)

    async def ask(
        self, seat: Seat, question: str, frame: Any, *, attempts: int = 1, private: bool = False
    ) -> Any:
        """None: no answer. Raises LinkLostError."""
        seat.line.tap = bytearray()
        try:
            return await seat.dialogue.ask(frame, attempts=attempts)
        except NoAnswerError:
            return None
        finally:
            # Only the answer's own frames: what tags say is nobody's business here.
            answers = [r for r in self.decode(bytes(seat.line.tap)) if r.command == frame.command]
            seat.line.tap = None
            got = tuple("withheld" if private else reply.encode().hex(" ").upper() for reply in answers)
            self.exchanges.append(Exchange(question, frame.encode().hex(" ").upper(), got))


class _R2000Talk:
    def __init__(self, turns: Turns, settings: R2000Settings, baudrate: int | None) -> None:
        self.turns = turns
        self._settings = settings
        self._baudrate = baudrate
        self._record = _Record(lambda data: r2000_a0.Decoder().feed(data))

    @classmethod
    def over(cls, link: Link, port_count: int | None, address: int, baudrate: int | None) -> "_R2000Talk":
        settings = R2000Settings(
            address=address, port_count=port_count or 8, reply_timeout_s=_REPLY_TIMEOUT_S, attempts=2
        )
        line = FrameLine(link, r2000_a0.Decoder())
        dialogue = R2000Dialogue(line, settings, lambda _reads: None)
        return cls(_OwnSeat(Seat(dialogue, settings, line)), settings, baudrate)

    async def identify(self, region: Region) -> Identity | None:
        address = self._settings.address
        firmware = await self._ask("firmware", r2000.get_firmware(address), attempts=_FIRST_ATTEMPTS)
        if not isinstance(firmware, FirmwareReply):
            return None
        facts: dict[str, str] = {}
        await self._ask("identifier", r2000.get_identifier(address), private=True)
        temperature = await self._ask("temperature", r2000.get_temperature(address))
        if isinstance(temperature, TemperatureReply):
            facts["temperature"] = f"{temperature.celsius} C"
        detector = await self._ask("antenna detector", r2000.get_detector(address))
        if isinstance(detector, DetectorReply):
            facts["antenna_detector"] = f"{detector.threshold_db} dB" if detector.threshold_db else "off"
        await self._ask("region", r2000_a0.Frame(address, _R2000_GET_REGION, b""))
        group = await self._ask("antenna group", r2000_a0.Frame(address, _R2000_GET_GROUP, b""))
        eight = await self._ask("power, 8-port form", r2000.get_power(eight_port=True, address=address))
        port_count = 16 if isinstance(group, GroupReply) else 8 if isinstance(eight, PowerReply) else 4
        power = await self.powers()
        losses = await self._return_losses(min(port_count, GROUP_SIZE), region)
        return Identity(
            driver="r2000_a0",
            baudrate=self._baudrate,
            model=f"0xA0 {port_count}-port",
            firmware=f"{firmware.major}.{firmware.minor}",
            port_count=port_count,
            power_dbm=power,
            return_loss_db=losses,
            facts=facts,
            exchanges=tuple(self._record.exchanges),
        )

    async def powers(self) -> tuple[int, ...]:
        for eight_port in (True, False):
            frame = r2000.get_power(eight_port=eight_port, address=self._settings.address)
            async with self.turns.turn() as seat:
                await self._first_group(seat)
                reply = await self._record.ask(seat, "power", frame)
            if isinstance(reply, PowerReply):
                return reply.dbm
        return ()

    async def set_powers(self, powers: Mapping[int, int]) -> list[PowerRefused]:
        refused: list[PowerRefused] = []
        async with self.turns.turn() as seat:
            await R2000Power(seat.dialogue, self._settings, RefusedPowers(refused.append)).save(powers)
        return refused

    async def _return_losses(self, ports: int, region: Region) -> dict[int, int]:
        losses: dict[int, int] = {}
        address = self._settings.address
        for port in range(1, ports + 1):
            async with self.turns.turn() as seat:  # one for both: a round chooses antennas of its own
                await self._first_group(seat)
                choose = r2000.set_work_antenna(port, address)
                if not isinstance(await self._record.ask(seat, f"work antenna {port}", choose), AckReply):
                    continue
                frame = r2000.measure_return_loss(R2000_PROBE_INDEX[region], address)
                reply = await self._record.ask(seat, f"return loss of port {port}", frame)
            if isinstance(reply, R2000ReturnLoss) and reply.db is not None:
                losses[port] = reply.db
        return losses

    async def _first_group(self, seat: Seat) -> None:
        try:
            await seat.dialogue.select_group(0)
        except NoAnswerError:
            pass  # then what is asked next will not be answered either

    async def _ask(
        self, question: str, frame: r2000_a0.Frame, *, attempts: int = 1, private: bool = False
    ) -> Any:
        async with self.turns.turn() as seat:
            return await self._record.ask(seat, question, frame, attempts=attempts, private=private)


class _Uhf288Talk:
    def __init__(self, turns: Turns, settings: Uhf288Settings, baudrate: int | None) -> None:
        self.turns = turns
        self._settings = settings
        self._baudrate = baudrate
        self._record = _Record(lambda data: uhfreader288.Decoder().feed(data))

    @classmethod
    def over(cls, link: Link, port_count: int | None, address: int, baudrate: int | None) -> "_Uhf288Talk":
        settings = Uhf288Settings(
            address=address, port_count=port_count or 8, reply_timeout_s=_REPLY_TIMEOUT_S, attempts=2
        )
        line = FrameLine(link, uhfreader288.Decoder())
        dialogue = Uhf288Dialogue(line, settings, lambda _reads: None)
        return cls(_OwnSeat(Seat(dialogue, settings, line)), settings, baudrate)

    async def identify(self, region: Region) -> Identity | None:
        address = self._settings.address
        info = await self._ask("information", uhf288.get_info(address), attempts=_FIRST_ATTEMPTS)
        if not isinstance(info, InfoReply):
            return None
        facts = {"type": f"{info.reader_type:#04x}", "scan_time": f"{info.scan_time_ms} ms"}
        powers = await self._ask("power per port", uhf288.get_port_powers(address))
        port_count = None
        if info.reader_type in WITHOUT_ANTENNAS:
            port_count = 1
        elif isinstance(powers, PortPowersReply) and len(powers.dbm) in uhf288.PORT_COUNTS:
            port_count = len(powers.dbm)
        threshold = await self._ask("return loss threshold", uhf288.get_return_loss_threshold(address))
        if isinstance(threshold, ThresholdReply):
            facts["return_loss_threshold"] = f"{threshold.db} dB"
        losses: dict[int, int] = {}
        for port in range(1, (port_count or 4) + 1):
            frame = uhf288.measure_return_loss(port, UHF288_PROBE_KHZ[region], address)
            reply = await self._ask(f"return loss of port {port}", frame)
            if isinstance(reply, Uhf288ReturnLoss):
                losses[port] = reply.db
        common = () if info.power_dbm == POWER_PER_PORT else (info.power_dbm,)
        return Identity(
            driver="uhfreader288",
            baudrate=self._baudrate,
            model=type_name(info.reader_type),
            firmware=f"{info.major}.{info.minor}",
            port_count=port_count,
            power_dbm=powers.dbm if isinstance(powers, PortPowersReply) else common,
            return_loss_db=losses,
            facts=facts,
            exchanges=tuple(self._record.exchanges),
        )

    async def powers(self) -> tuple[int, ...]:
        reply = await self._ask("power per port", uhf288.get_port_powers(self._settings.address))
        if isinstance(reply, PortPowersReply):
            return reply.dbm
        info = await self._ask("information", uhf288.get_info(self._settings.address))
        known = isinstance(info, InfoReply) and info.power_dbm != POWER_PER_PORT
        return (info.power_dbm,) if known else ()

    async def set_powers(self, powers: Mapping[int, int]) -> list[PowerRefused]:
        refused: list[PowerRefused] = []
        async with self.turns.turn() as seat:
            await Uhf288Power(seat.dialogue, self._settings, RefusedPowers(refused.append)).bring(powers)
        return refused

    async def _ask(self, question: str, frame: uhfreader288.Frame, *, attempts: int = 1) -> Any:
        async with self.turns.turn() as seat:
            return await self._record.ask(seat, question, frame, attempts=attempts)


@asynccontextmanager
async def open_talk(
    link: str, driver: str, baudrate: int, *, port_count: int | None = None, address: int = 0xFF
) -> AsyncIterator[Talk]:
    """With a reader on a free port. Raises PortInUseError, ReaderTalkError."""
    try:
        opened = await opener_for(link, baudrate=baudrate).open()
    except ValueError as error:
        raise ReaderTalkError(str(error)) from error
    except LinkUnavailableError as error:
        if getattr(error.__cause__, "errno", None) in (errno.EAGAIN, errno.EBUSY):
            raise PortInUseError(
                f"{link}: another process holds the port. If it is bayd, its socket should lead there: "
                "`bayd status`; if that does not answer stop it (`systemctl stop bayd`; nothing is counted "
                "meanwhile), run this again, then start it. ModemManager also takes new ports for a moment"
            ) from error
        raise ReaderTalkError(str(error)) from error
    line_rate = None if "://" in link else baudrate
    talk_type = _R2000Talk if driver == "r2000_a0" else _Uhf288Talk
    try:
        talk = talk_type.over(opened, port_count, address, line_rate)
        async with talk.turns.turn() as seat:
            await seat.dialogue.drain()
        yield talk
    except LinkError as error:
        raise ReaderTalkError(str(error)) from error
    finally:
        await opened.aclose()


def talk_of(driver: str, seat: Seat, turns: Turns, baudrate: int | None) -> Talk:
    """With a reader that a driver drives; each question waits for the end of a round."""
    talk_type: Any = _R2000Talk if driver == "r2000_a0" else _Uhf288Talk
    talk: Talk = talk_type(turns, seat.settings, baudrate)
    return talk


async def identify(
    link: str,
    *,
    driver: str | None = None,
    baudrate: int | None = None,
    address: int = 0xFF,
    region: Region = Region.ETSI,
) -> Identity | None:
    """Whatever reader answers there; None: none does. Raises PortInUseError, ReaderTalkError."""
    asked: set[tuple[str, int]] = set()
    for family, usual_baudrate in ATTEMPTS:
        rate = baudrate or (0 if "://" in link else usual_baudrate)
        if (driver is not None and family != driver) or (family, rate) in asked:
            continue
        asked.add((family, rate))
        async with open_talk(link, family, rate or usual_baudrate, address=address) as talk:
            found = await talk.identify(region)
        if found is not None:
            return found
    return None
