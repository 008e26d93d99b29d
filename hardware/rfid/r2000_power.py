"""Output power of a 0xA0 reader, per port.

In flash (0x76) each port has its own. In RAM (0x66) there is one value for all ports, so ports of another
power get a round of their own, with the value set before it.
"""

from collections.abc import Mapping

from hardware.rfid import r2000_commands as commands
from hardware.rfid.dialogue import NoAnswerError
from hardware.rfid.r2000_dialogue import R2000Dialogue
from hardware.rfid.r2000_replies import (
    GROUP_SIZE,
    AckReply,
    ErrorReply,
    PowerReply,
    Reply,
    UnknownReply,
)
from hardware.rfid.r2000_settings import R2000Settings
from hardware.rfid.saved_powers import RefusedPowers, bring_powers


class PowerControl:
    """Brings the powers of the plan into the reader."""

    def __init__(self, dialogue: R2000Dialogue, settings: R2000Settings, refused: RefusedPowers) -> None:
        self._dialogue = dialogue
        self._settings = settings
        self._refused = refused
        self._get_eight = settings.port_count > 4  # 0x97; older 8-port firmware has 0x77 only

    async def save(self, powers: Mapping[int, int]) -> None:
        """Power by port, into flash. Raises NoAnswerError, LinkLostError."""
        able = self._refused.within(0, commands.HIGHEST_POWER_DBM, powers)
        for group in sorted({(port - 1) // GROUP_SIZE for port in able}):
            wanted = {port: dbm for port, dbm in able.items() if (port - 1) // GROUP_SIZE == group}
            await self._dialogue.select_group(group)
            await bring_powers(
                wanted, self._read, self._write, self._refused, first_port=group * GROUP_SIZE + 1
            )

    async def set_temporary(self, power_dbm: int, ports: frozenset[int]) -> None:
        """One power for the ports of the next round, in RAM. Raises NoAnswerError, LinkLostError."""
        lowest, highest = commands.LOWEST_TEMPORARY_POWER_DBM, commands.HIGHEST_POWER_DBM
        if not self._refused.within(lowest, highest, dict.fromkeys(ports, power_dbm)):
            return
        reply = await self._dialogue.ask(commands.set_temporary_power(power_dbm, self._settings.address))
        for port in ports:
            if isinstance(reply, AckReply):
                self._refused.taken(port)
            else:
                self._refused.refused(port, power_dbm, _reason(reply))

    async def _read(self) -> tuple[int, ...] | None:
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
                case UnknownReply():
                    return None  # it knows the question, and what it says is no power
            self._get_eight = False
        return None

    async def _write(self, dbm: tuple[int, ...]) -> str | None:
        frame = commands.set_power(dbm[:1] if len(set(dbm)) == 1 else dbm, self._settings.address)
        try:
            reply = await self._dialogue.ask(frame, attempts=1)  # not twice: what it holds is read back
        except NoAnswerError:
            return None
        return _reason(reply) if isinstance(reply, ErrorReply) else None


def _reason(reply: Reply) -> str:
    return f"the reader answered: {reply.name}" if isinstance(reply, ErrorReply) else f"odd answer {reply}"
