"""Output power of a 0xA0 reader, per port.

In flash (0x76) each port has its own, but flash wears out: what the reader has is read first, and written
only when it differs. In RAM (0x66) there is one value for all ports, so ports of another power get a round of
their own, with the value set before it.

A power that the reader does not take is reported once per port and value; the port goes on with what it had.
"""

from collections.abc import Mapping

from hardware.rfid import r2000_commands as commands
from hardware.rfid.dialogue import NoAnswerError
from hardware.rfid.r2000_dialogue import R2000Dialogue
from hardware.rfid.r2000_replies import GROUP_SIZE, AckReply, ErrorReply, PowerReply, Reply
from hardware.rfid.r2000_settings import R2000Settings
from hardware.rfid.refused_powers import RefusedPowers


class PowerControl:
    """Brings the powers of the plan into the reader."""

    def __init__(self, dialogue: R2000Dialogue, settings: R2000Settings, refused: RefusedPowers) -> None:
        self._dialogue = dialogue
        self._settings = settings
        self._refused = refused
        self._get_eight = settings.port_count > 4  # 0x97; older 8-port firmware has 0x77 only

    async def save(self, powers: Mapping[int, int]) -> None:
        """Power by port, into flash. Raises NoAnswerError, LinkLostError."""
        for group in sorted({(port - 1) // GROUP_SIZE for port in powers}):
            first = group * GROUP_SIZE + 1
            wanted = {port: dbm for port, dbm in powers.items() if (port - 1) // GROUP_SIZE == group}
            await self._dialogue.select_group(group)
            await self._save_group(first, self._within_range(wanted, 0))

    async def set_temporary(self, power_dbm: int, ports: frozenset[int]) -> None:
        """One power for the ports of the next round, in RAM. Raises NoAnswerError."""
        if not self._within_range(dict.fromkeys(ports, power_dbm), commands.LOWEST_TEMPORARY_POWER_DBM):
            return
        reply = await self._dialogue.ask(commands.set_temporary_power(power_dbm, self._settings.address))
        for port in ports:
            if isinstance(reply, AckReply):
                self._refused.taken(port)
            else:
                self._refused.refused(port, power_dbm, _reason(reply))

    def _within_range(self, powers: Mapping[int, int], lowest: int) -> dict[int, int]:
        able = {}
        for port, dbm in powers.items():
            if lowest <= dbm <= commands.HIGHEST_POWER_DBM:
                able[port] = dbm
            else:
                self._refused.refused(port, dbm, f"must be {lowest} to {commands.HIGHEST_POWER_DBM} dBm here")
        return able

    async def _save_group(self, first: int, wanted: Mapping[int, int]) -> None:
        before = await self._read()
        if before is None:
            for port, dbm in wanted.items():
                self._refused.refused(port, dbm, "the reader does not tell its power, so none was written")
            return
        changes = {port: dbm for port, dbm in wanted.items() if before[port - first] != dbm}
        for port in wanted.keys() - changes.keys():
            self._refused.taken(port)
        if not changes:
            return
        reply = await self._write(before, first, changes)
        if isinstance(reply, ErrorReply) and len(changes) > 1:
            # One bad value spoils the whole write: find out which.
            replies = {port: await self._write(before, first, {port: dbm}) for port, dbm in changes.items()}
            good = {
                port: changes[port] for port, answer in replies.items() if not isinstance(answer, ErrorReply)
            }
            if good:
                await self._write(before, first, good)
        else:
            replies = dict.fromkeys(changes, reply)
        after = await self._read() or before
        for port, dbm in changes.items():
            if after[port - first] == dbm:
                self._refused.taken(port)
            else:
                self._refused.refused(
                    port, dbm, f"{_reason(replies[port])}; it has {after[port - first]} dBm"
                )

    async def _write(self, before: tuple[int, ...], first: int, changes: Mapping[int, int]) -> Reply | None:
        values = tuple(changes.get(first + index, dbm) for index, dbm in enumerate(before))
        frame = commands.set_power(
            values[:1] if len(set(values)) == 1 else values, address=self._settings.address
        )
        try:
            return await self._dialogue.ask(frame, attempts=1)  # not twice: what it holds is read back
        except NoAnswerError:
            return None

    async def _read(self) -> tuple[int, ...] | None:
        """One value per port of the group; None when the reader does not tell."""
        reply: Reply | None
        size = 4 if self._settings.port_count <= 4 else GROUP_SIZE
        for eight_port in (True, False) if self._get_eight else (False,):
            frame = commands.get_power(eight_port=eight_port, address=self._settings.address)
            try:
                reply = await self._dialogue.ask(frame, attempts=2)
            except NoAnswerError:
                reply = None  # firmware that does not know the command may not even say so
            match reply:
                case PowerReply(dbm) if len(dbm) == 1:
                    return dbm * size
                case PowerReply(dbm) if len(dbm) == size:
                    return dbm
            self._get_eight = False
        return None


def _reason(reply: Reply | None) -> str:
    match reply:
        case ErrorReply():
            return f"the reader answered: {reply.name}"
        case AckReply():
            return "the reader said yes and did not do it"
        case None:
            return "the reader did not answer"
    return "the reader's answer made no sense"
