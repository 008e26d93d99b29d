"""Who is on which bay: what the reception's page shows, and the page itself as HTML.

One form for a booking; beside each session its extension, end and move. Every form carries a key of
its own, so a double click or a repeated submission does nothing twice.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from bayd.reference.central import views
from bayd.reference.central.ledger import Ledger

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.4 system-ui, sans-serif; }
body { margin: 1rem auto; max-width: 80rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid #8886; padding: .35rem .6rem; text-align: left; vertical-align: top; }
form { display: inline-flex; flex-wrap: wrap; gap: .4rem; align-items: center; margin: .1rem .8rem .1rem 0; }
input, select, button { font: inherit; padding: .25rem .4rem; max-width: 12rem; }
input[type=number] { width: 5.5rem; }
fieldset { border: 1px solid #8886; margin: 0 0 1rem; }
.pin { font: 600 1.1rem ui-monospace, monospace; letter-spacing: .1em; }
.said { border-left: .3rem solid; padding: .4rem .8rem; }
.said.bad { color: #c22; }
"""
# A change elsewhere shows at once, but never under the fingers of somebody who types.
_SCRIPT = """
const changed = new EventSource("/events");
const inputs = () => [...document.querySelectorAll("input:not([type=hidden])")];
const typing = () => inputs().some(input => input.value !== input.defaultValue)
  || (document.activeElement && document.activeElement.form);
let due = false;
const show = () => { if (due && !typing()) location.assign("/"); };
for (const kind of ["session.booked", "session.verified", "session.extended", "session.ended",
  "session.cancelled", "session.lapsed", "session.moved", "session.game", "bay.status", "reset"])
  changed.addEventListener(kind, () => { due = true; show(); });
setInterval(show, 2000);
"""


@dataclass(frozen=True, slots=True)
class Seat:
    """One unsettled session."""

    session_id: int
    customer: str
    pin: str
    state: str  # "plays", "waits", "in the queue" or "time is over"
    minutes_left: int | None  # by the server's own count; None before the start
    game: str | None


@dataclass(frozen=True, slots=True)
class BayLine:
    number: str
    floor: str
    status: str
    seats: tuple[Seat, ...]
    owed: int


@dataclass(frozen=True, slots=True)
class Board:
    bays: tuple[BayLine, ...]
    intervals_min: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    text: str
    bad: bool = False


def read_board(ledger: Ledger) -> Board:
    seats: dict[int, list[Seat]] = {}
    for row in ledger.rows(
        "SELECT s.*, users.name AS customer, games.name AS game FROM"  # noqa: S608
        f" ({views.SESSIONS} WHERE s.cancel = 0 AND s.release_ms IS NULL) s"
        " JOIN users ON users.id = s.billing_user_id LEFT JOIN games ON games.id = s.game_id"
        " ORDER BY s.active DESC, s.id"
    ):
        if row["active"]:
            state = "plays"
        elif row["verified_ms"] is not None:
            state = "time is over"
        else:
            state = "in the queue" if row["is_in_queue"] else "waits"
        left_ms = None if row["ends_ms"] is None else max(0, row["ends_ms"] - ledger.now_ms)
        seats.setdefault(row["bay_id"], []).append(
            Seat(
                session_id=row["id"],
                customer=row["customer"],
                pin=row["pin"],
                state=state,
                minutes_left=None if left_ms is None else -(-left_ms // ledger.terms.minute_ms),
                game=row["game"],
            )
        )
    owed = {
        row["bay_id"]: row["owed"]
        for row in ledger.rows(
            "SELECT s.bay_id, SUM(t.amount - t.amount_discounted) AS owed FROM transactions t"
            " JOIN sessions s ON s.id = t.session_id WHERE t.status = 'DUE' GROUP BY s.bay_id"
        )
    }
    bays = ledger.rows(
        "SELECT bays.*, floors.number AS floor FROM bays JOIN floors ON floors.id = floor_id ORDER BY bays.id"
    )
    intervals = ledger.rows("SELECT interval_min FROM time_intervals WHERE enable ORDER BY interval_min")
    return Board(
        bays=tuple(
            BayLine(
                number=row["number"],
                floor=row["floor"],
                status=views.STATUSES[row["status_id"]][0],
                seats=tuple(seats.get(row["id"], ())),
                owed=owed.get(row["id"], 0),
            )
            for row in bays
        ),
        intervals_min=tuple(row["interval_min"] for row in intervals),
    )


def board_page(board: Board, notice: Notice | None, nonce: str) -> str:
    numbers = [line.number for line in board.bays]
    playing = sum(any(seat.state == "plays" for seat in line.seats) for line in board.bays)
    rows = "\n".join(_bay_row(line, numbers) for line in board.bays)
    return _document(
        f"""
<p>{playing} of {len(numbers)} bays play. <a href="/">Refresh</a></p>
{_booking_form(board, numbers)}
<table>
<thead><tr><th scope="col">Bay</th><th scope="col">Floor</th><th scope="col">Status</th>
<th scope="col">Owes</th><th scope="col">Sessions</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
<script nonce="{nonce}">{_SCRIPT}</script>""",
        notice,
        nonce,
    )


def login_page(notice: Notice | None, nonce: str) -> str:
    return _document(
        """
<form method="post" action="/desk/login">
<label>Phone number <input name="phoneNumber" inputmode="tel" autocomplete="username" required></label>
<label>PIN <input name="pin" type="password" autocomplete="current-password" required></label>
<button>Log in</button>
</form>""",
        notice,
        nonce,
    )


def _document(content: str, notice: Notice | None, nonce: str) -> str:
    said = ""
    if notice is not None:
        tone = ' class="said bad" role="alert"' if notice.bad else ' class="said" role="status"'
        said = f"<p{tone}>{escape(notice.text)}</p>"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Reception</title>
<style nonce="{nonce}">{_STYLE}</style>
</head>
<body>
<h1>Reception</h1>
{said}{content}
</body>
</html>
"""


def _booking_form(board: Board, numbers: Sequence[str]) -> str:
    lengths = "".join(f'<option value="{minutes}">' for minutes in board.intervals_min)
    first = board.intervals_min[-1] if board.intervals_min else 60
    return f"""<fieldset><legend>Book</legend>
<form method="post" action="/desk/book">{_key()}
<label>Bay {_bay_choice("bayNumber", numbers)}</label>
<label>Name <input name="name" maxlength="200" required></label>
<label>Phone number <input name="phoneNumber" inputmode="tel" pattern="\\+?[0-9]{{3,20}}" required></label>
<label>Minutes
<input name="duration" type="number" min="1" max="1440" value="{first}" list="lengths" required></label>
<datalist id="lengths">{lengths}</datalist>
<label>Amount <input name="amount" type="number" min="0" value="0" required></label>
<label>Paid by <select name="paymentType"><option value="CASH">Cash</option><option value="CARD">Card</option>
<option value="">Not yet</option></select></label>
<button>Book</button>
</form></fieldset>"""


def _bay_row(line: BayLine, numbers: Sequence[str]) -> str:
    others = [number for number in numbers if number != line.number]
    seats = "".join(_seat(line, seat, others, first=index == 0) for index, seat in enumerate(line.seats))
    return (
        f'<tr id="bay-{escape(line.number)}"><th scope="row">{escape(line.number)}</th>'
        f"<td>{escape(line.floor)}</td><td>{escape(line.status)}</td><td>{line.owed or ''}</td>"
        f"<td>{seats}</td></tr>"
    )


def _seat(line: BayLine, seat: Seat, others: Sequence[str], *, first: bool) -> str:
    facts = [f"session {seat.session_id}", seat.state]
    if seat.minutes_left is not None:
        facts.append(f"{seat.minutes_left} min left")
    if seat.game is not None:
        facts.append(seat.game)
    label = f"session {seat.session_id}"
    pin = (
        f' PIN <span class="pin">{escape(seat.pin)}</span>' if seat.state in ("waits", "in the queue") else ""
    )
    # A move takes the session that plays, else the oldest that waits: the first one here.
    move = (
        f"""<form method="post" action="/desk/move">{_key()}
<input type="hidden" name="currentBay" value="{escape(line.number)}">
{_bay_choice("newBay", others, f"Move {label} to bay")}
<input name="newDuration" inputmode="numeric" placeholder="minutes" aria-label="New minutes of {label}">
<input name="adminPassword" type="password" autocomplete="off" placeholder="staff password" required
 aria-label="Staff password to move {label}"><button>Move</button></form>"""
        if first and seat.state != "time is over"
        else ""
    )
    return f"""<div><strong>{escape(seat.customer)}</strong> ({escape(", ".join(facts))}){pin}<br>
<form method="post" action="/desk/extend">{_key()}<input type="hidden" name="id" value="{seat.session_id}">
<input name="duration" type="number" min="1" max="1440" value="15" required
 aria-label="Minutes to add to {label}">
<input name="amount" type="number" min="0" value="0" required aria-label="Amount for {label}">
<button>Extend</button></form>
<form method="post" action="/desk/end">{_key()}<input type="hidden" name="id" value="{seat.session_id}">
<button>{"Cancel" if pin else "End"} {label}</button></form>
{move}</div>"""


def _bay_choice(name: str, numbers: Sequence[str], label: str | None = None) -> str:
    options = "".join(f"<option>{escape(number)}</option>" for number in numbers)
    described = "" if label is None else f' aria-label="{escape(label)}"'
    return f'<select name="{name}"{described} required>{options}</select>'


def _key() -> str:
    return f'<input type="hidden" name="key" value="desk-{secrets.token_hex(16)}">'
