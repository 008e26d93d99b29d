"""A bay, the rules of play at all of them, and the range's balls."""

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from bayd.core.model import Mode
from bayd.core.rules import (
    DowntimePolicy,
    ExtensionPolicy,
    FaultPolicy,
    LongPausePolicy,
    NoShowPolicy,
    OpenSpan,
    ScheduleLine,
    StepPolicy,
    UnknownPolicy,
)
from bayd.settings.dispensers import BallLevel
from bayd.settings.qod import BayQod
from bayd.settings.tables import Minutes, Seconds, Table

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_HOURS = re.compile(
    rf"({'|'.join(_DAYS)})(?:-({'|'.join(_DAYS)}))? ([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)"
)
_DAY_MINUTES = 24 * 60


def spans_of(text: str) -> tuple[OpenSpan, ...]:
    """Raises ValueError."""
    found = _HOURS.fullmatch(text)
    if found is None:
        raise ValueError('no hours; write "Mon-Fri 08:00-22:00" or "Sun 10:00-18:00"')
    first = _DAYS.index(found[1])
    count = 1 if found[2] is None else (_DAYS.index(found[2]) - first) % 7 + 1
    opens, closes = int(found[3]) * 60 + int(found[4]), int(found[5]) * 60 + int(found[6])
    if closes > _DAY_MINUTES or opens == closes:
        raise ValueError("no hours: a day has 24, and something has to be between them")
    spans: list[OpenSpan] = []
    for day in ((first + more) % 7 for more in range(count)):
        if opens < closes:
            spans.append(OpenSpan(day, opens, closes))
        else:
            spans += [OpenSpan(day, opens, _DAY_MINUTES), OpenSpan((day + 1) % 7, 0, closes)]
    return tuple(spans)


def _hours(text: str) -> str:
    spans_of(text)
    return text


def lines_of(text: str) -> tuple[ScheduleLine, ...]:
    """Raises ValueError."""
    hours, _, word = text.rpartition(" ")
    if word not in set(Mode):
        raise ValueError('no line of a schedule; write "Mon-Fri 08:00-16:00 locked", or free_play, or closed')
    return tuple(ScheduleLine(span, Mode(word)) for span in spans_of(hours))


def _line(text: str) -> str:
    lines_of(text)
    return text


OpeningHours = Annotated[str, AfterValidator(_hours)]
ScheduleText = Annotated[str, AfterValidator(_line)]
ModeWord = Literal["locked", "free_play", "schedule"]


class BaySettings(Table):
    """One bay. The table's name is the bay's number at the central server."""

    dispenser: str | None = Field(
        None, description="The name of its dispenser; bays may share one. Default: none."
    )
    rfid: bool = Field(True, description="`false`: this bay has no antenna, and none is missed.")
    mode: ModeWord | None = Field(None, description="See `play.mode`. Default: that one.")
    qod: BayQod | None = Field(None, description="Its screen in the mobile network. Default: no QoS session.")


class Play(Table):
    """The rules of play, the same at all bays. `…_minutes` are booked minutes."""

    grace_minutes: Minutes = Field(
        2, description="After the end: the screen shows the result, the next guest may type a PIN."
    )
    warn_minutes: tuple[Minutes, ...] = Field(
        (10, 5, 1), description="Warnings on the screen, in minutes before the end."
    )
    next_pin_minutes: Minutes = Field(
        5, description="So long before the end the next session's PIN may be typed."
    )
    pin_tries: int = Field(5, ge=1, description="Wrong PINs in a row until the pad locks.")
    pin_lock_minutes: int = Field(
        1,
        ge=1,
        description="The first lock; each further wrong PIN doubles it. Five tries and then doubling locks "
        "leave a guesser about 30 tries a day out of a million PINs.",
    )
    pin_lock_max_minutes: int = Field(60, ge=1, description="The longest lock.")
    booking_horizon_minutes: Minutes = Field(
        1440, description="Older bookings of the server are ignored: it lists abandoned ones as live."
    )
    extension: ExtensionPolicy = Field(
        ExtensionPolicy.ASK,
        description='A press on "more time": `ask` staff; `on_account`: granted at once, due at reception '
        "(needs `extension_price`, else it asks); `staff_only`: refused.",
    )
    extension_minutes: tuple[int, ...] = Field((15, 30, 60), description="What the screen offers.")
    extension_price: int | None = Field(
        None, description="Per minute, in the server's unit. Default: unknown, staff name the amount."
    )
    mode: ModeWord = Field(
        "locked",
        description="What a bay is open for while no session plays: `locked`, to a PIN or a start by staff; "
        "`free_play`, to anybody: the antennas listen, the balls are nobody's, the machine pays none, "
        "nothing is owed, and a PIN takes the bay over at once; `schedule`, see there.",
    )
    schedule: tuple[ScheduleText, ...] = Field(
        (),
        description='For `mode = "schedule"`: hours and `locked`, `free_play` or `closed`, as '
        '`"Mon-Fri 08:00-16:00 locked"`. Of lines that overlap the last holds; at times without a line the '
        "bay is closed. A clock that is not synchronised: locked.",
    )
    closed_days: tuple[date, ...] = Field(
        (),
        description='Closed from midnight to midnight, whatever the hours say: `["2026-12-25"]`.',
    )
    opening_hours: tuple[OpeningHours, ...] = Field(
        (),
        description='When the range is open, at its own time of day: `"Mon-Fri 08:00-22:00"`. What ends '
        "before it begins ends on the next day. Outside, no PIN opens a bay; whoever plays, plays on, and "
        "staff may start one. A clock that is not synchronised closes nothing. Default: never closed.",
    )
    hold_minutes: int | None = Field(
        None,
        ge=1,
        le=1440,
        description="A bay that stands ready for a booking, or is on hold, for so long without anybody "
        "coming brings a warning. Default: never.",
    )
    no_show: NoShowPolicy = Field(
        NoShowPolicy.WARN,
        description="… and for a booking nothing more (`warn`), or it is cancelled, at the central server "
        "too (`release`).",
    )
    pause_max_minutes: int | None = Field(
        None,
        ge=1,
        le=1440,
        description="A pause by staff that is longer brings a warning, or ends. Default: never.",
    )
    long_pause: LongPausePolicy = Field(
        LongPausePolicy.WARN, description="… `warn` staff, or `resume`: the clock runs on."
    )
    guest_pause: Literal["no", "allowed"] = Field(
        "no",
        description="`allowed`: guests stop the clock at the screen, where nobody is booked after them and "
        "the bay is not closed. `no`: staff alone do.",
    )
    guest_pauses: int = Field(1, ge=1, le=100, description="So many times in a session …")
    guest_pause_minutes: Minutes = Field(
        10, ge=1, description="… and so long in all; then the clock runs on by itself."
    )
    games: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = Field(
        (),
        max_length=6,
        description="Games that the screen offers to a session that has none, by their names at the central "
        "server (`GET /game`), in this order. Default: none; the desk chooses.",
    )
    downtime: DowntimePolicy = Field(
        DowntimePolicy.CREDITED,
        description="An outage of more than 60 s: `credited` goes on with the time that was left; `counted` "
        "takes it as play, where the clocks can be trusted.",
    )
    max_credit_s: int = Field(
        1800, ge=0, description="After a longer outage the session waits, paused, for its PIN or staff."
    )
    recount_after_s: int = Field(
        120,
        ge=2,
        description="A ball counts again after so long unheard. Shorter, one that a foot covers is counted "
        "twice; longer, one that comes back quickly is missed.",
    )
    dispense_max_balls: int = Field(
        200, ge=1, description="Per press: a typing error must not empty the machine."
    )
    dispense_choices: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (), description="Sizes that the screen offers, and what is owed beside them. Default: any number."
    )
    dispense_step: StepPolicy = Field(
        StepPolicy.REFUSE,
        description="A machine that pays whole trays is asked for another number: `refuse`, `round_up` "
        "(also beyond the game's limit, by less than a tray) or `round_down`.",
    )
    dispense_cap_balls: int | None = Field(
        None,
        ge=1,
        description="A session gets so many balls in `dispense_cap_minutes` at most. Default: no cap.",
    )
    dispense_cap_minutes: int = Field(
        60, ge=1, le=10_080, description="Booked minutes; see `dispense_cap_balls`."
    )
    unknown_balls: UnknownPolicy = Field(
        UnknownPolicy.ASK,
        description="Balls of which the machine cannot say whether they came out: `ask` staff; `count` "
        "them as paid; `owe` them to the customer, who may then get them twice. Each is on record in any "
        "case.",
    )
    dispenser_fault: FaultPolicy = Field(
        FaultPolicy.PLAY_ON,
        description="The clock of a customer whose balls stick in a faulty machine: `play_on`, or `pause` "
        "until staff clear the fault. Nothing is read in a pause.",
    )
    variance_balls: int = Field(
        10,
        ge=0,
        description="At the end of a session so many balls more may have been counted than read, or read "
        "than counted, before staff are told …",
    )
    variance_percent: int = Field(
        25, ge=0, le=100, description="… or so many in a hundred of those counted, whichever is more."
    )
    variance_grant: bool = Field(
        False,
        description="What is missing beyond that is given back, as balls owed. Only where the antenna was "
        "never away.",
    )


class Balls(Table):
    """The range's own balls."""

    registry: Path | None = Field(
        None,
        description="CSV with the columns `epc,label,added_at,retired_at`. Default: none, and no ball is "
        "counted, because a misread tag cannot be told from a ball.",
    )
    unread_warning_balls: int = Field(
        10,
        ge=1,
        description="So many balls paid out at a bay without one being read bring a warning: its antenna is "
        "connected and hears nothing.",
    )
    unread_warning_s: Seconds = Field(
        180, description="… once so much time has passed, too: people take a while from machine to tee."
    )
    central_level: Mapping[BallLevel, Annotated[int, Field(ge=0)]] = Field(
        {"empty": 0, "low": 0, "ok": 1, "full": 2},
        description="What the central server's `ballLevel` of a bay is to be. At 0 the server lists the bay "
        "for a refill: with the default, before it is empty. A level that is left out is not told.",
    )
