"""The books after an evening of kills: what was promised, what the journal has, what the server shows."""

from collections import Counter, defaultdict
from dataclasses import dataclass

from bayd.core import events as e
from bayd.journal import Recorded
from tests.system.killed_evening import SHORT_MINUTES, Evening, Given, Played
from tests.system.killed_pc import MINUTE_S, Json

_TAKEN_HERE = ("cash", "card")
_PIN_TRIES = 5
SHORT_START_DOUBTFUL = "start_doubtful, of a short one"


@dataclass(frozen=True, slots=True)
class Difference:
    """Between what was promised and what somebody's book has. `flag`: what the daemon has to say of it."""

    session_id: str
    what: str
    flag: str = ""
    key: str = ""


class Books:
    def __init__(self, evening: Evening, journal: list[Recorded[e.Event]], rows: dict[str, Json]) -> None:
        self._evening = evening
        self._rows = rows
        self._started: Counter[str] = Counter()
        self._ended: defaultdict[str, list[str]] = defaultdict(list)  # at which bay
        self._sold: dict[str, e.WalkInSold] = {}
        self._extended: defaultdict[str, list[e.SessionExtended]] = defaultdict(list)
        self._settled: Counter[str] = Counter()
        self._moved: defaultdict[str, list[str]] = defaultdict(list)
        self._games: defaultdict[str, list[int]] = defaultdict(list)
        self._numbers: dict[str, str] = {}
        self._seen: list[e.ConflictSeen] = []
        self._tries: list[e.PinAttempted] = []
        for record in journal:
            self._enter(record.bay, record.event)

    def _enter(self, bay: str, event: e.Event) -> None:
        match event:
            case e.SessionStarted(session_id):
                self._started[session_id] += 1
            case e.WalkInSold(session_id):
                assert session_id not in self._sold
                self._sold[session_id] = event
            case e.SessionNumbered(ours, number):
                assert self._numbers.setdefault(ours, number) == number
            case e.SessionExtended(_, session_id) if event.own:
                self._extended[session_id].append(event)
            case e.DueSettled(due_id):
                self._settled[due_id] += 1
            case e.SessionMovedIn(session):
                self._moved[session.session_id].append(bay)
            case e.GameSelected(session_id, game) if event.own:
                self._games[session_id].append(game.id)
            case e.SessionEnded(session_id):
                self._ended[session_id].append(bay)
            case e.ConflictSeen():
                self._seen.append(event)
            case e.PinAttempted() if bay == self._evening.guessed_bay:
                self._tries.append(event)
            case _:
                pass

    def flags(self) -> Counter[str]:
        """By code. The time of short ones may be over before the server is asked about their start again."""
        short = {one.session_id for one in self._evening.played if one.minutes <= SHORT_MINUTES}
        return Counter(
            SHORT_START_DOUBTFUL if one.code == "start_doubtful" and one.session_id in short else one.code
            for one in self._seen
        )

    def texts(self) -> list[str]:
        """What the daemon says of each flag."""
        return [f"{one.session_id}: {one.code}: {one.text}" for one in self._seen]

    # The journal keeps what was promised

    def lost_or_doubled_here(self) -> list[str]:
        """Where the journal has something else than was promised."""
        played = {one.session_id: one for one in self._evening.played}
        found = [f"{name} was never sold" for name in (set(self._started) | set(self._sold)) - set(played)]
        found += [f"due {due} was settled {times} times" for due, times in self._settled.items() if times > 1]
        for name, one in played.items():
            sold = self._sold.get(name)
            kept = {
                "starts": (self._started[name], 1),
                "time given": (sorted(map(self._given, self._extended[name])), sorted(one.given)),
                "moves": (self._moved[name], one.bays[1:]),
                "games": (self._games[name], [] if one.game is None else [one.game]),
                "ends": (self._ended[name], [one.bay]),
                "sale": (sold and (sold.minutes, sold.amount), one.sale),
            }
            found += [
                f"{name}: {what}: {has}, promised {was}" for what, (has, was) in kept.items() if has != was
            ]
        return found

    def _given(self, extended: e.SessionExtended) -> Given:
        paid = extended.payment in _TAKEN_HERE or self._settled[extended.op_id] > 0
        return Given(extended.minutes, extended.amount or 0, paid)

    # So does the server

    def differences(self) -> list[Difference]:
        """Between what was promised and what the server shows."""
        found = []
        for one in self._evening.played:
            row = self._rows.get(self._number(one))
            if row is None:
                found.append(Difference(one.session_id, "is not at the server"))
            else:
                found += self._differ(one, row)
        strangers = set(self._rows) - {self._number(one) for one in self._evening.played}
        for number in strangers:
            if self._rows[number]["bay"]["number"] != self._evening.guessed_bay:
                found.append(Difference(number, "is at the server, and was never sold"))
        return found

    def _number(self, one: Played) -> str:
        return self._numbers.get(one.session_id, "") if one.walk_in else one.session_id

    def _differ(self, one: Played, row: Json) -> list[Difference]:
        found = []

        def differs(what: str, flag: str = "", key: str = "") -> None:
            found.append(Difference(one.session_id, what, flag, key))

        if (row["cancel"], row["active"], row["releaseTime"] is None) != (False, False, False):
            differs(f"has not ended: {row}")
        if row["duration"] != one.minutes and not one.bays[1:]:  # a move tells all that was granted
            differs(f"was sold for {one.minutes} minutes, shows {row['duration']}")
        shown = sorted((item["duration"], item["amount"]) for item in row["extenedSession"])
        if shown != sorted((given.minutes, given.amount) for given in one.given):
            differs(f"got {one.given}, shows {shown}")
        money = Counter((item["amount"], item["status"]) for item in row["sessionTransaction"])
        promised = Counter({(one.amount, "PAID"): 1})
        promised.update((given.amount, "PAID" if given.paid else "DUE") for given in one.given)
        for amount, status in (promised - money).elements():
            if status == "PAID" and money[amount, "DUE"]:
                differs(f"paid {amount}, shows it as due", "payment_not_told", self._op_id(one, amount))
            else:
                differs(f"{amount} is not {status}: {money}")
        if sum(money.values()) != sum(promised.values()):
            differs(f"shows {money} for {promised}")
        if row["bay"]["number"] != one.bay:
            differs(f"played at bay {one.bay}, is shown at {row['bay']['number']}", "move_not_told")
        return found

    def _op_id(self, one: Played, amount: int) -> str:
        return next(each.op_id for each in self._extended[one.session_id] if each.amount == amount)

    def flagged_wrongly(self) -> list[str]:
        """What differs and is not flagged, what is flagged and does not differ, or more than once."""
        differences = self.differences()
        found = [f"{one.session_id}: {one.what}" for one in differences if not one.flag]
        for code in ("payment_not_told", "move_not_told"):
            wanted = Counter((one.session_id, one.key) for one in differences if one.flag == code)
            flags = Counter((one.session_id, one.key) for one in self._seen if one.code == code)
            found += [f"{code}: {dict(flags)} for {dict(wanted)}"] if flags != wanted else []
        return found

    # And the pad

    def tries_forgotten(self) -> list[str]:
        """Each answer is one try, and each try is one more; a lock is as long as its number says."""
        guesses, tries = self._evening.guesses, self._tries
        counted, shown = [one.failures for one in tries], [one.tries_left for one in guesses]
        numbers = range(1, len(guesses) + 1)
        found = []
        if counted != list(numbers):
            found.append(f"{len(guesses)} were answered, the journal counts {counted}")
        if shown != [max(0, _PIN_TRIES - number) for number in numbers]:
            found.append(f"the tries left were said to be {shown}")
        for number, one, after, guess in zip(numbers, tries, tries[1:], guesses[1:], strict=False):
            lock_ms = 0 if number < _PIN_TRIES else 2 ** (number - _PIN_TRIES) * MINUTE_S * 1000
            waited_ms = min(after.at_ms - one.at_ms, guess.after_s * 1000)
            if waited_ms < lock_ms:
                found.append(f"try {number} locked the pad for {waited_ms:.0f} ms, not {lock_ms:.0f}")
        return found
