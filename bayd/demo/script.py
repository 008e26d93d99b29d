"""The evening: who comes, what they press, and what breaks. Public doors only.

Every step says what it expects; an answer that is not expected ends the evening with an error, because
the books of an evening that went otherwise prove nothing.
"""

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bayd.demo.doors import Booked, DoorError, Doors
from bayd.demo.stage import MINUTE_S, READER, Stage

_PATIENCE_S = 30.0
_LOOK_S = 0.1
_UNSEEN_S = 12.0  # while bayd is down the observer sees no end: none may be due
_DECIDED_S = 1.0  # after this bayd has decided about every ball that it heard

Say = Callable[[str], None]


@dataclass(slots=True)
class Receipts:
    """What reception took in, by session: the script's own memory, for the books."""

    booked: list[Booked] = field(default_factory=list)
    desk_extensions: dict[int, tuple[int, int]] = field(default_factory=dict)  # minutes, amount
    bay_extensions: dict[int, tuple[int, int]] = field(default_factory=dict)
    minute_s: float = MINUTE_S


class Evening:
    def __init__(self, stage: Stage, doors: Doors, say: Say) -> None:
        self._stage = stage
        self._doors = doors
        self._say = say
        self.receipts = Receipts()

    async def play(self) -> None:
        """About a minute. Raises DoorError when something answers otherwise than it should."""
        anna = await self._book("101", 28, 900)
        ben = await self._book("102", 16, 700)
        cara = await self._book("103", 27, 600)
        dev = await self._book("104", 5, 300)
        ella = await self._book("104", 28, 400)
        game = next(g for g in await self._doors.games() if g["ballsLimit"] == 20)
        await self._doors.choose_game(ben, game["id"])
        await self._until(
            "the bays know their bookings",
            lambda s: (
                s["bays"]["104"]["booked"] == 2
                and all(s["bays"][bay]["booked"] for bay in ("101", "102", "103"))
            ),
        )
        await self._until("bay 102 knows its game", lambda s: s["bays"]["102"]["next_game"] == game["id"])

        self._say("bay 101: a wrong PIN, then the right one")
        self._expect("wrong PIN", 401, await self._doors.type_pin("101", _other(anna.pin)))
        for booked in (anna, ben, cara, dev):
            await self._enter(booked)

        self._say("balls for everybody; bay 102 plays a game of 20 balls")
        for bay, balls in (("102", 20), ("103", 9), ("104", 3), ("101", 12)):
            self._expect("dispense", 200, await self._doors.dispense(bay, balls))
        await self._until_paid("102")
        self._expect("the 21st ball", 422, await self._doors.dispense("102", 1))
        await self._stage.order("stray", bay="101", neighbour="102")
        await self._stage.order("foreign", bay="103")

        self._say("bay 104: the next guest types the PIN before the end: play goes on back to back")
        self._expect("next PIN", 200, await self._doors.type_pin("104", ella.pin))
        self._expect("help", 200, await self._doors.press("104", "help", {}))
        self._expect("acknowledged", 200, await self._doors.press("104", "help/acknowledge", {}, staff=True))

        self._say("extensions: bay 103 by staff at the bay, bay 101 at the desk")
        await self._extend_by_staff(cara, 6, 350)
        await self._extend_at_desk(anna, 5, 250)

        await self._unplug_reader()
        await self._server_down(ben)
        await self._kill_mid_session(anna)
        await self._kill_mid_payout(cara)
        await self._close()

    async def _unplug_reader(self) -> None:
        self._say("the reader is unplugged; balls are hit while it is blind; it is plugged in again")
        await self._stage.order("hold")
        await self._stage.order("unplug", name=READER)
        await self._until("the reader is lost", lambda s: s["devices"]["readers"][READER]["state"] == "lost")
        await self._stage.order("swing")
        await asyncio.sleep(1.8)
        await self._stage.order("hold")
        await self._stage.order("plug", name=READER)
        await self._until("the reader reads", lambda s: s["devices"]["readers"][READER]["state"] == "ok")
        await self._until_listening()
        await self._stage.order("swing")

    async def _server_down(self, ben: Booked) -> None:
        self._say("the central server goes away; staff end bay 102 meanwhile; it comes back")
        await self._stage.stop("central", signal.SIGKILL)
        await self._until("bayd has noticed", lambda s: not s["central"]["online"])
        await self._until_hit(ben.bay)
        await self._stage.order("hold", bay=ben.bay)
        self._expect(
            "staff end", 200, await self._doors.press("102", "end", {"reason": "left early"}, staff=True)
        )
        await self._stage.order("swing", bay=ben.bay)
        await asyncio.sleep(0.5)
        await self._stage.start("central")
        await self._until(
            "all is delivered", lambda s: s["central"]["online"] and s["central"]["outbox"] == 0
        )

    async def _kill_mid_session(self, anna: Booked) -> None:
        self._say("bayd is killed in mid-session (SIGKILL) and started again")
        await self._hold_and_kill()
        await self._stage.order("swing", bay=anna.bay, unseen=True)
        await asyncio.sleep(1.2)
        await self._stage.order("hold", bay=anna.bay)
        await self._stage.start("bayd")
        await self._until("it plays on", lambda s: s["bays"][anna.bay]["phase"] == "playing")
        await self._until_listening()
        await self._stage.order("swing")

    async def _kill_mid_payout(self, cara: Booked) -> None:
        self._say("bayd is killed in mid-payout (SIGKILL) and started again")
        await self._stage.order("hold")
        self._expect("dispense", 200, await self._doors.dispense(cara.bay, 20))
        await self._until("some balls are out", lambda s: s["bays"][cara.bay]["balls"]["paying"] < 18)
        await self._hold_and_kill()
        await asyncio.sleep(0.5)
        await self._stage.start("bayd")
        await self._until_paid(cara.bay)
        await self._until_listening()
        await self._stage.order("swing")

    async def _close(self) -> None:
        self._say("the last guests play their time out")
        await self._until(
            "everybody has gone and all is delivered",
            lambda s: (
                all(b["session"] is None and not b["booked"] for b in s["bays"].values())
                and s["central"]["outbox"] == 0
                and all(b["phase"] == "free" for b in s["bays"].values())
            ),
            patience_s=90,
        )
        await asyncio.sleep(0.5)

    # Steps

    async def _book(self, bay: str, minutes: int, amount: int) -> Booked:
        booked = await self._doors.book(bay, minutes, amount)
        self.receipts.booked.append(booked)
        self._say(f"reception: bay {bay}, {minutes} minutes, session {booked.session}")
        return booked

    async def _enter(self, booked: Booked) -> None:
        answer = await self._doors.type_pin(booked.bay, booked.pin)
        self._expect(f"PIN at bay {booked.bay}", 200, answer)
        playing = answer[1]["session"]
        if playing is None or playing["id"] != str(booked.session):
            raise DoorError(f"bay {booked.bay} plays {playing} after the PIN of session {booked.session}")

    async def _extend_by_staff(self, booked: Booked, minutes: int, amount: int) -> None:
        body = {"minutes": minutes, "amount": amount, "reason": "paid in cash"}
        self._expect("extension", 200, await self._doors.press(booked.bay, "extend", body, staff=True))
        self.receipts.bay_extensions[booked.session] = (minutes, amount)

    async def _extend_at_desk(self, booked: Booked, minutes: int, amount: int) -> None:
        await self._doors.extend_at_the_desk(booked, minutes, amount)
        self.receipts.desk_extensions[booked.session] = (minutes, amount)
        granted = booked.minutes + minutes
        await self._until(
            "the bay knows its new minutes",
            lambda s: (s["bays"][booked.bay]["session"] or {}).get("minutes") == granted,
        )

    async def _until_paid(self, bay: str) -> None:
        await self._until(f"bay {bay} has its balls", lambda s: s["bays"][bay]["balls"]["paying"] == 0)

    async def _until_hit(self, bay: str) -> None:
        """The golfer finishes the basket."""
        async with asyncio.timeout(_PATIENCE_S):
            while (await self._stage.order("look"))["baskets"][bay]:  # noqa: ASYNC110 # in another process
                await asyncio.sleep(_LOOK_S)

    async def _hold_and_kill(self) -> None:
        """What bayd has heard and not yet decided about, half a second's worth, would be lost with it."""
        await self._stage.order("hold")
        await asyncio.sleep(_DECIDED_S)
        bays = (await self._doors.status())["bays"]
        shortest_s = min((b["session"]["remaining_s"] for b in bays.values() if b["session"]), default=0.0)
        if shortest_s < _UNSEEN_S:
            raise DoorError(f"this machine is too slow: a session would end unseen, in {shortest_s:.0f} s")
        await self._stage.stop("bayd", signal.SIGKILL)

    async def _until_listening(self) -> None:
        """Rounds run again for every bay in play; a ball on the tee before would be half blind."""
        before = (await self._doors.status())["devices"]["readers"][READER]["rounds"]
        await self._until(
            "the antennas listen",
            lambda s: (
                s["devices"]["readers"][READER]["rounds"] > before + 2
                or not any(b["phase"] == "playing" for b in s["bays"].values())
            ),
        )

    async def _until(
        self, what: str, holds: Callable[[dict[str, Any]], bool], patience_s: float = _PATIENCE_S
    ) -> None:
        status: dict[str, Any] = {}
        try:
            async with asyncio.timeout(patience_s):
                while True:
                    status = await self._doors.status()
                    if holds(status):
                        return
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            bays = {n: (b["phase"], b["balls"], b["booked"]) for n, b in status.get("bays", {}).items()}
            text = f"waited {patience_s:g} s in vain until {what}: {bays}, central {status.get('central')}"
            raise DoorError(text) from None

    @staticmethod
    def _expect(what: str, status: int, answer: tuple[int, dict[str, Any]]) -> None:
        if answer[0] != status:
            raise DoorError(f"{what}: HTTP {answer[0]} instead of {status}: {answer[1]}")


def _other(pin: str) -> str:
    """A PIN that is surely wrong."""
    return f"{(int(pin) + 1) % 1_000_000:06d}"
