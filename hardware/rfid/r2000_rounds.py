"""One inventory round of a 0xA0 reader: the request, what comes, the end frame or the watchdog."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from hardware.rfid import r2000_commands as commands
from hardware.rfid.r2000_a0 import Frame
from hardware.rfid.r2000_dialogue import R2000Dialogue
from hardware.rfid.r2000_replies import (
    BAD_PARAMETER,
    GROUP_SIZE,
    AckReply,
    AntennaMissingReply,
    EndOfRoundReply,
    ErrorReply,
    Reply,
)
from hardware.rfid.r2000_settings import R2000Settings
from hardware.rfid.reconnecting import ReaderSilentError


@dataclass(frozen=True, slots=True)
class RoundOutcome:
    listened: frozenset[int]  # ports that the reader listened to, proven by the end frame
    missing: frozenset[int]  # ports without an antenna
    problem: str | None = None  # why the round did not come to its end
    alive: bool = True  # intact frames came, and no error among them


class WorkingForm:
    """Which request this reader understands: a form of fast switching, or one port at a time.

    Outlives the link, as the reader does.
    """

    def __init__(self, settings: R2000Settings) -> None:
        self._left = list(settings.forms)

    @property
    def form(self) -> commands.FastSwitchForm | None:
        return self._left[0] if self._left else None

    def refuse(self) -> None:
        del self._left[:1]


class Rounds:
    """Runs rounds over one link."""

    def __init__(self, dialogue: R2000Dialogue, settings: R2000Settings, working: WorkingForm) -> None:
        self._dialogue = dialogue
        self._settings = settings
        self._working = working
        self._loop = asyncio.get_running_loop()

    async def run(self, stays: Mapping[int, int]) -> RoundOutcome:
        """Read ports of one antenna group; `stays` has the inventories per port.

        Raises NoAnswerError, ReaderSilentError, LinkLostError.
        """
        group = (min(stays) - 1) // GROUP_SIZE
        await self._dialogue.select_group(group)
        while (form := self._working.form) is not None:
            request = commands.fast_switch_inventory(
                {port - GROUP_SIZE * group: stay for port, stay in stays.items()},
                form,
                interval_ms=self._settings.interval_ms,
                session=self._settings.gen2_session,
                address=self._settings.address,
            )
            heard = self._dialogue.frames_heard
            missing, last = await self._listen(request, self._budget_s(stays))
            match last:
                case EndOfRoundReply():
                    return RoundOutcome(frozenset(stays) - missing, missing)
                case ErrorReply(code=code) if code == BAD_PARAMETER:
                    self._working.refuse()
                case ErrorReply() | AntennaMissingReply():  # without saying which port it means
                    return await self._one_port_at_a_time(stays, group)
                case _:
                    alive = self._dialogue.frames_heard > heard
                    return RoundOutcome(frozenset(), missing, _problem(last), alive)
        return await self._one_port_at_a_time(stays, group)

    async def _one_port_at_a_time(self, stays: Mapping[int, int], group: int) -> RoundOutcome:
        listened: set[int] = set()
        missing: set[int] = set()
        problem: str | None = None
        for port, stay in stays.items():
            answer = await self._dialogue.ask(
                commands.set_work_antenna(port - GROUP_SIZE * group, self._settings.address)
            )
            if not isinstance(answer, AckReply):
                missing.add(port)  # the reader has no such port
                continue
            request = commands.realtime_inventory(stay, self._settings.address)
            _, last = await self._listen(request, self._budget_s({port: stay}))
            match last:
                case EndOfRoundReply():
                    listened.add(port)
                case AntennaMissingReply():
                    missing.add(port)
                case ErrorReply(code=code) if code == BAD_PARAMETER:
                    raise ReaderSilentError(
                        f"{self._dialogue.name}: refuses every kind of inventory; is it of this family?"
                    )
                case _:
                    problem = f"port {port}: {_problem(last)}"  # the others may work
        return RoundOutcome(frozenset(listened), frozenset(missing), problem, bool(listened))

    async def _listen(self, request: Frame, budget_s: float) -> tuple[frozenset[int], Reply | None]:
        """The ports reported missing, and what closed the round; None: nothing did in time."""
        self._dialogue.send(request)
        deadline = self._loop.time() + budget_s
        missing: set[int] = set()
        try:
            while True:
                for command, reply in await self._dialogue.receive(deadline):
                    if command != request.command:
                        continue
                    match reply:
                        case AntennaMissingReply(port) if port is not None:
                            missing.add(port)
                        case EndOfRoundReply() | ErrorReply() | AntennaMissingReply():
                            return frozenset(missing), reply
        except TimeoutError:
            # It may still be running: nothing is sent before the line is idle.
            await self._dialogue.drain()
        return frozenset(missing), None

    def _budget_s(self, stays: Mapping[int, int]) -> float:
        rest_s = len(stays) * self._settings.interval_ms / 1000
        return sum(stays.values()) * self._settings.stay_allowance_s + rest_s + self._settings.round_grace_s


def _problem(last: Reply | None) -> str:
    return f"the reader answers: {last.name}" if isinstance(last, ErrorReply) else "the reader is silent"
