"""Output power of a reader of the UHFReader288 family: per port where it can, else one for all.

Both are saved (0x2F), so what it has is read first: per port with 0x94, the common one from the information.
"""

from collections.abc import Mapping

from hardware.rfid import uhf288_commands as commands
from hardware.rfid.saved_powers import RefusedPowers, bring_powers
from hardware.rfid.uhf288_dialogue import Uhf288Dialogue
from hardware.rfid.uhf288_replies import OK, POWER_PER_PORT, InfoReply, PortPowersReply, StatusReply
from hardware.rfid.uhf288_settings import Uhf288Settings


class PowerControl:
    """Brings the powers of the plan into the reader."""

    def __init__(self, dialogue: Uhf288Dialogue, settings: Uhf288Settings, refused: RefusedPowers) -> None:
        self._dialogue = dialogue
        self._settings = settings
        self._refused = refused

    async def bring(self, powers: Mapping[int, int]) -> None:
        """Per port (0x94, 0x2F) where the reader can, else one for all."""
        wanted = self._refused.within(0, commands.HIGHEST_POWER_DBM, powers)
        if not wanted:
            return
        if await self._port_powers() is not None:
            await bring_powers(wanted, self._port_powers, self._write_powers, self._refused)
        elif len(set(wanted.values())) == 1:
            for port, dbm in wanted.items():
                # All ports get it; asking again for the next port finds it there.
                await bring_powers(
                    {port: dbm}, self._common_power, self._write_powers, self._refused, first_port=port
                )
        else:
            for port, dbm in wanted.items():
                self._refused.refused(port, dbm, "this reader has one power for all its ports")

    async def _port_powers(self) -> tuple[int, ...] | None:
        reply = await self._dialogue.ask_once(commands.get_port_powers(self._settings.address))
        if not isinstance(reply, PortPowersReply) or not len(reply.dbm) == self._settings.port_count > 1:
            return None
        # What no reader has may not be written back for the other ports.
        return reply.dbm if max(reply.dbm) <= commands.HIGHEST_POWER_DBM else None

    async def _common_power(self) -> tuple[int, ...] | None:
        reply = await self._dialogue.ask_once(commands.get_info(self._settings.address))
        if isinstance(reply, InfoReply) and reply.power_dbm != POWER_PER_PORT:
            return (reply.power_dbm,)
        return None

    async def _write_powers(self, dbm: tuple[int, ...]) -> str | None:
        reply = await self._dialogue.ask_once(commands.set_power(dbm, self._settings.address))
        if isinstance(reply, StatusReply) and reply.status != OK:
            return f"the reader answered: {reply.name}"
        return None
