"""What the API answers, as models: the answers are made of them, and the API description is made from them.

Times are RFC 3339 for people, seconds for programs.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from bayd.core.model import DeviceState, Mode, PayoutEnd, Phase

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
# Promised, not checked: a figure that is off must be seen, not turn the whole status into an error.
Count = Annotated[int, Field(json_schema_extra={"minimum": 0})]
Duration = Annotated[float, Field(json_schema_extra={"minimum": 0})]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Section(BaseModel):
    """A part of the status that is told by whom it concerns; it may say more than is promised here."""

    model_config = ConfigDict(frozen=True, extra="allow")


class ProblemDocument(_Document):
    """Why a request was refused (RFC 9457)."""

    type: str = Field(description="`urn:bayd:problem:` and the code.")
    title: str
    status: int
    code: str = Field(description="Stable, for programs.")
    detail: str = Field(description="For people: what to do next.")
    field: str | None = Field(None, description="The field, parameter or header that is wrong.")
    tries_left: Count | None = Field(None, description="Before the PIN pad locks.")
    retry_after_s: Count | None = None


class GameView(_Document):
    id: int
    name: str
    balls_limit: int | None = Field(description="0: no limit.")


class PlayerView(_Document):
    """One of those who share a session."""

    id: int = Field(description="For `player`.")
    name: str | None = Field(description="A display name; null for those who may not see names.")


class GuestPauseView(_Document):
    """What the guest may do with the clock."""

    may_pause: bool
    may_resume: bool = Field(description="It is the guest's own pause.")
    minutes: Count = Field(description="That may still be paused.")


class ModeView(_Document):
    """What the bay is open for while no session plays; whoever plays, plays on."""

    name: Mode
    until: Time | None = Field(description="When the hours say otherwise; null: not known, or set by staff.")
    by_staff: bool = Field(description="Staff said so, above the hours.")
    today: bool = Field(description="… until midnight.")
    reason: str | None = Field(description="Theirs; null for those who may not see names.")


class KeptView(_Document):
    """The bay is held, or out of service."""

    reason: str | None = Field(description="Why; null for those who may not see names.")
    since: Time | None = Field(description="null: not known, an older version wrote no time.")


class WaitingView(_Document):
    """The bay stands ready for a guest who has not come yet."""

    session_id: str
    since: Time


class SessionView(_Document):
    """The session in play."""

    id: str
    ends_at: Time = Field(description="By the wall clock, for people; moves on in a pause.")
    remaining_s: Duration
    duration_s: Duration = Field(description="All time given.")
    minutes: int
    paused: bool
    guest_pause: GuestPauseView
    game: GameView | None
    player_id: int | None = Field(description="Whose turn it is.")
    player: str | None = Field(description="A display name; null for those who may not see names.")
    players: list[PlayerView] = Field(description="All who share the session, as far as the server says.")


class UnknownView(_Document):
    """A payout of which nobody can say how many balls came out: `balls/settle` ends it."""

    payout_id: str
    session_id: str
    balls: Count
    since: Time | None
    text: str


class BallsView(_Document):
    """commanded + granted = counted + balance + unknown + what an open payout still has to pay."""

    machine: bool = Field(description="This bay has a dispenser.")
    limit: Count | None = Field(description="Of the game; null: none.")
    commanded: Count = Field(description="Asked for and granted.")
    counted: Count = Field(description="Left the machine.")
    read: Count = Field(description="Credited by RFID.")
    free_read: Count = Field(description="Read in free play, ever: nobody's.")
    variance: int = Field(description="counted + surplus - read.")
    left: Count | None = Field(description="May still be asked for; null: no limit, or nobody plays.")
    balance: Count = Field(description="Granted and not paid: the customer's.")
    unknown: Count = Field(description="May or may not have left the machine.")
    paying: Count = Field(description="Being paid out now.")
    surplus: Count = Field(description="Left the machine beyond what was asked.")
    granted: Count = Field(description="Given back after the comparison at the end.")
    shots: Count = Field(description="Read, and then seen in a target.")
    points: int = Field(description="Of these shots, by the central server's rules for the game.")
    queue_place: Count | None = Field(description="Payouts before this one; null: nothing is being paid.")
    choices: list[Count] = Field(description="What the screen offers; empty: any number.")
    step: Count = Field(description="The machine pays multiples of it.")
    level: str = Field(description="Of the machine: empty, low, ok, full, unknown.")
    unsettled: list[UnknownView] = Field(description="Unknown balls that staff have to settle.")


class OfferView(_Document):
    """A length of time that the screen offers."""

    minutes: Count
    amount: int | None = Field(description="In the server's unit; null: not known, staff say it.")
    at_once: bool = Field(
        description="A press that shows it is enough (`shown_at_once`); else staff are asked."
    )


class AskedView(_Document):
    """The customer asks staff for more time."""

    request_id: str = Field(description="For the answer: `extend/approve`, `extend/decline`.")
    minutes: Count
    amount: int | None = Field(description="The price when it was asked; null: not known, staff say it.")
    since: Time | None
    waits_s: Duration = Field(description="For an answer.")


class ExtensionView(_Document):
    """More time: what the screen offers, and what became of a request."""

    offers: list[OfferView] = Field(description="Empty: the bay is booked, nobody plays, or staff only.")
    asked: AskedView | None
    declined: str | None = Field(
        description="Why staff declined the last request; null for those who may not see names."
    )
    owed_at_server: int = Field(description="What the central server shows as owed for this bay.")


class DueView(_Document):
    """Time that went on account: `dues/settle` ends it."""

    due_id: str
    session_id: str
    minutes: Count
    amount: int
    since: Time | None


class PadView(_Document):
    tries_left: Count
    locked_for_s: Count


class DeviceView(_Document):
    state: DeviceState | Literal["none"] = Field(description="`none`: this bay has no such device.")
    reason: str


class BayDevices(_Document):
    reader: DeviceView
    dispenser: DeviceView
    screen: DeviceView


class LowLatencyView(_Document):
    state: str


class WarningView(_Document):
    code: str
    since: Time | None
    text: str = Field(description="In English, for the log and for tools.")
    facts: dict[str, str | int] = Field(
        default_factory=dict, description="What `text` names, for whoever says it in other words."
    )
    conflict: str | None = Field(
        None, description="What the central server and the bay disagree about; `conflicts/settle` takes it."
    )


class BayDocument(_Document):
    """One bay as it is now."""

    number: str
    retired: bool = Field(
        description="Not in the configuration any more: staff settle what it left open (`balls/settle`, "
        "`conflicts/settle`, `dues/settle`, `delivery/…`), and that is all."
    )
    phase: Phase
    session: SessionView | None
    closed: bool = Field(description="No PIN opens it, staff may: see `mode`.")
    mode: ModeView
    kept: KeptView | None = Field(description="Held or out of service; null: neither.")
    waiting: WaitingView | None = Field(
        description="Where the site sets how long a bay waits (`play.hold_minutes`); null: for nobody."
    )
    moved_to: str | None = Field(description="The bay where the last guest of this one plays on.")
    booked: Count = Field(description="Bookings that wait for their PIN.")
    next_session_id: str | None = Field(description="Of the oldest booking: the one that `start` starts.")
    games: list[GameView] = Field(description="Offered at the screen: the session has none yet.")
    next_game: int | None = Field(description="Of the oldest booking.")
    next_minutes: int | None = Field(description="Of the oldest booking; null for all but staff.")
    next_player: str | None = Field(description="Whose it is: a display name; null for all but staff.")
    walk_ins: bool = Field(description="Time can be sold at the bay (`walk-in`).")
    balls: BallsView = Field(description="Of the session in play, else of the last one.")
    pin: PadView
    devices: BayDevices
    qod: LowLatencyView
    help_called: bool
    help_for_s: Duration | None = Field(description="How long the call for help waits.")
    extension_asked: int | None = Field(description="Minutes that the customer asks for.")
    extension: ExtensionView
    dues: list[DueView] = Field(description="Owed here, also of sessions that are over.")
    warnings: list[WarningView]
    version: Count = Field(description="Events so far.")


class PortSection(_Section):
    place: str = Field(description="A bay, `return`, or `pit:NAME`.")
    listening: bool
    blind_s: Duration = Field(description="It should have been listened to and was not, since the start.")
    revisit_s: Duration | None = Field(description="The longest of the last times between two visits.")


class ReaderSection(_Section):
    state: DeviceState
    reason: str
    firmware: str
    reads: Count
    rounds: Count
    blind_s: dict[str, Duration] = Field(description="By antenna port.")
    ports: dict[str, PortSection] = Field({}, description="By antenna port.")
    line_errors: Count | None = Field(
        None, description="Broken frames on its line since the start; null: its driver does not count them."
    )


class DispenserSection(_Section):
    state: DeviceState
    reason: str
    product: str
    level: str
    queue: list[str] = Field(description="Bays, the one being served first.")
    stock: int | None = Field(
        None, description="Balls left since the last refill, as far as they are counted."
    )
    minutes_to_empty: Duration | None = Field(None, description="At the pace of the last hour.")


class DevicesSection(_Section):
    readers: dict[str, ReaderSection]
    dispensers: dict[str, DispenserSection]


class CentralSection(_Section):
    online: bool
    outbox: Count = Field(description="Events that wait for delivery.")
    oldest_s: Duration | None = Field(description="How long the oldest of them waits.")
    parked: Count = Field(description="Set aside after refusals: staff decide.")


class QodSection(_Section):
    state: str


class StatusWarning(WarningView):
    bay: str | None = Field(None, description="null: beyond single bays.")


class CallView(_Document):
    """Somebody waits for staff."""

    bay: str
    kind: Literal["help", "time"] = Field(description="`time`: asks for more of it.")
    minutes: Count | None = Field(description="Of `time`.")
    amount: int | None = Field(description="The price that the screen showed for it.")
    since_s: Duration


class RangeNewsDocument(_Document):
    """`data` of the event `range`: what concerns no single bay."""

    central: CentralSection
    warnings: list[StatusWarning]


class RangeDocument(RangeNewsDocument):
    """What concerns the whole range, for the pages of staff."""

    now: Time = Field(description="By the daemon's clock.")
    calls: list[CallView] = Field(description="Who waits for staff, the longest first.")


class StatusDocument(_Document):
    """What the daemon says of itself, without anybody's name."""

    version: str
    started_at: Time
    time_scale: float = Field(description="1: minutes are minutes; more in demonstrations.")
    bays: dict[str, BayDocument]
    devices: DevicesSection
    central: CentralSection
    qod: QodSection
    warnings: list[StatusWarning]


class PayoutView(_Document):
    """How a payout ended."""

    payout_id: str
    end: PayoutEnd
    paid: Count = Field(description="Of the balls that were asked for; an uncounted machine's by its pulses.")
    surplus: Count = Field(description="Beyond these.")
    unknown: Count = Field(description="May or may not have left the machine.")
    test: bool = Field(description="A technician's trial: nobody's balls.")


class EventDocument(_Document):
    """`data` of one event of the stream."""

    seq: Count = Field(description="Also the event's `id`.")
    bay: str
    kind: str
    at: Time
    clock_synchronised: bool = Field(description="false: `at` is a guess.")
    state: BayDocument = Field(description="The bay when this was sent, this event included.")
    payout: PayoutView | None = Field(None, description="Of a `PayoutClosed`.")


class BaysDocument(_Document):
    """`data` of the event `bays`: all bays open a stream that continues no other one; later come those where
    something is new that is no event: a place in a queue, low latency, players, games, prices."""

    seq: Count = Field(description="All events up to this one are in the states.")
    bays: dict[str, BayDocument]


class MovingView(_Document):
    """What the clock alone moves at a bay; the words are BayDocument's."""

    remaining_s: Duration | None
    locked_for_s: Count
    help_for_s: Duration | None
    waits_s: Duration | None


class AliveDocument(_Document):
    """`data` of the event `alive`: whose clock stood still meanwhile (a machine that slept) is put right."""

    now: Time = Field(description="By the daemon's clock.")
    bays: dict[str, MovingView]


class OutboxItemView(_Document):
    seq: Count = Field(description="Of the event to be delivered; names the item.")
    bay: str
    session_id: str
    kind: str
    since: Time
    reason: str = Field(description="Why it was set aside or failed last; empty while it waits its turn.")
    parked: bool = Field(description="Set aside: it waits for the word of staff.")
    waits_for: Count | None = Field(
        None, description="Set aside behind this item of its session, which has to be decided about first."
    )


class OutboxDocument(_Document):
    """All that the central server has not been told, first what was set aside."""

    items: list[OutboxItemView]


class ScreenView(_Document):
    """A browser that serves one bay."""

    id: str = Field(description="For `screens/unbind`; no secret.")
    bay: str
    since: Time = Field(description="When it was paired.")
    connected: bool = Field(description="It follows what happens at its bay now.")


class ScreensDocument(_Document):
    screens: list[ScreenView]


class PairingCodeDocument(_Document):
    """What a screen shows until staff have entered it."""

    code: str
    expires_s: Count


class PairingDocument(_Document):
    """How far a screen's pairing is."""

    state: Literal["waiting", "bound"]
    bay: str | None = Field(description="Whose screen it is, or will be once the browser has come for it.")


class SessionDocument(_Document):
    """Who asks, as whom the daemon knows them."""

    role: Literal["screen", "staff", "technician"]
    name: str
    bay: str | None = Field(description="The one bay that a screen may touch.")


class StaffView(_Document):
    """Somebody who may sign in at the board."""

    name: str
    role: Literal["staff", "technician"]
    since: Time = Field(description="When the PIN was given.")
    locked: bool = Field(description="By an administrator, until there is a new PIN.")
    locked_for_s: Count = Field(description="After wrong PINs.")


class StaffDocument(_Document):
    staff: list[StaffView]


class AuditRowView(_Document):
    """One act of one person at one bay."""

    at: str = Field(description="RFC 3339, in the site's time zone.")
    clock_trusted: bool
    bay: str
    who: str
    role: str
    act: str
    asked: dict[str, str | int | bool | None] = Field(description="What was asked for.")
    reason: str
    before: dict[str, str | int | bool | None] = Field(description="What it changed, as it was.")
    after: dict[str, str | int | bool | None] = Field(description="The same, as it was then.")


class AuditDocument(_Document):
    """What staff and technicians did on one day, oldest first."""

    day: str
    acts: list[AuditRowView]


class LivenessDocument(_Document):
    status: str


class ReadinessDocument(_Document):
    status: str
    reason: str | None = None


class VersionDocument(_Document):
    version: str
