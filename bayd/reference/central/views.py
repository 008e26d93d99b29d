"""Rows of the database as the documented shapes. Reads only."""

import json
from datetime import UTC, datetime

from bayd.reference.central import answers
from bayd.reference.central.ledger import Ledger, RefusalError, Row

# (id, name, shortName, color, border): Bay component, POST create status and GET all status.
STATUSES = {
    1: ("Available Bay", "Available", "#FFFFFF", False),
    2: ("Bay on Hold", "Hold", "#FFFFFF", True),
    3: ("Ongoing Game", "Booked", "#47B6EA", False),
    5: ("Not Available", "N/A", None, False),
}

# One price for the whole day; the documents show a table of prices by hour that no bay controller reads.
_PRICE_START, _PRICE_END, _PRICE_AMOUNT = "00:00:00", "23:59:59", 500

# Live: not ended, not cancelled, and not past the server's own computed end. In the queue: waiting for
# its PIN while an older session of the bay is live, or any plays.
SESSIONS = """
SELECT s.*, EXISTS (
    SELECT 1 FROM sessions o WHERE o.bay_id = s.bay_id AND o.id <> s.id AND o.cancel = 0
    AND o.release_ms IS NULL AND (o.active = 1 OR (o.verified_ms IS NULL AND o.id < s.id))
    AND s.cancel = 0 AND s.release_ms IS NULL AND s.verified_ms IS NULL
) AS is_in_queue FROM sessions s
"""


def wire_time(at_ms: int) -> str:
    """RFC 3339 in UTC with milliseconds."""
    stamp = datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{stamp}.{at_ms % 1000:03d}Z"


def wire_time_or_none(at_ms: int | None) -> str | None:
    return None if at_ms is None else wire_time(at_ms)


# --- One row, one object ---


def game(row: Row) -> answers.Game:
    return {
        "id": row["id"],
        "name": row["name"],
        "image": row["image"],
        "description": row["description"],
        "rules": row["rules"],
        "rulesImage": row["rules_image"],
        "ballsLimit": row["balls_limit"],
        "createdAt": wire_time(row["created_ms"]),
    }


def user(row: Row) -> answers.User:
    return {
        "id": row["id"],
        "name": row["name"],
        "phoneNumber": row["phone_number"],
        "email": row["email"],
        "isLocked": bool(row["is_locked"]),
        "lastLogin": wire_time_or_none(row["last_login_ms"]),
        "lastActivity": wire_time_or_none(row["last_activity_ms"]),
        "gender": row["gender"],
        "birthdate": row["birthdate"],
        "pin": None,  # the documented server may show a hash here; nobody may read one
        "createdAt": wire_time(row["created_ms"]),
    }


def payer(row: Row) -> answers.User:
    """The customer who pays: the documents show an empty `pin` there and null for players."""
    return {**user(row), "pin": ""}


def antenna(row: Row) -> answers.Antenna:
    return {
        "id": row["id"],
        "name": row["name"],
        "port": row["port"],
        "active": bool(row["active"]),
        "power": row["power"],
        "location": row["location"],
        "createdAt": wire_time(row["created_ms"]),
    }


def reader(row: Row) -> answers.Reader:
    return {
        "id": row["id"],
        "readerID": row["reader_id"],
        "normalId": row["normal_id"],
        "active": bool(row["active"]),
        "readerType": row["reader_type"],
        "noOfAntennas": row["no_of_antennas"],
        "createdAt": wire_time(row["created_ms"]),
    }


def bay_brief(row: Row) -> answers.BayBrief:
    return {
        "id": row["id"],
        "number": row["number"],
        "screenId": row["screen_id"],
        "timerId": row["timer_id"],
        "ballLevel": row["ball_level"],
        "bookedTill": row["booked_till"],
        "createdAt": wire_time(row["created_ms"]),
    }


def transaction(row: Row) -> answers.Transaction:
    return {
        "id": row["id"],
        "amount": row["amount"],
        "discountType": row["discount_type"],
        "reason": row["reason"],
        "amountDiscounted": row["amount_discounted"],
        "status": row["status"],
        "paymentType": None if row["payment_type"] is None else {"type": row["payment_type"]},
        "createdAt": wire_time(row["created_ms"]),
    }


def session_core(row: Row) -> answers.ActiveSession:
    return {
        "id": row["id"],
        "pin": row["pin"],
        "duration": row["duration_min"],
        "cancel": bool(row["cancel"]),
        "active": bool(row["active"]),
        "isInQueue": bool(row["is_in_queue"]),
        "timerId": None,
        "createdAt": wire_time(row["created_ms"]),
    }


# --- Looking up, for the rules as well ---


def find_bay(ledger: Ledger, number: str) -> Row | None:
    return ledger.find("SELECT * FROM bays WHERE number = :number", number=number)


def get_bay(ledger: Ledger, number: str, field: str) -> Row:
    """Raises RefusalError that names `field`."""
    row = find_bay(ledger, number)
    if row is None:
        raise RefusalError(404, f"{field}: no bay has this number", field)
    return row


def get_session_row(ledger: Ledger, session_id: int) -> Row:
    """Raises RefusalError."""
    row = ledger.find(SESSIONS + "WHERE s.id = :id", id=session_id)
    if row is None:
        raise RefusalError(404, f"id: there is no session {session_id}", "id")
    return row


def _by_id(ledger: Ledger, table: str, ids: set[int]) -> dict[int, Row]:
    # `table` is a literal of this module; the ids are whole numbers from the database.
    listed = ",".join(str(int(number)) for number in sorted(ids))
    return {row["id"]: row for row in ledger.rows(f"SELECT * FROM {table} WHERE id IN ({listed})")}  # noqa: S608


def _children(ledger: Ledger, table: str, ids: list[int]) -> dict[int, list[Row]]:
    """Rows of `table` by session, in the order of their ids."""
    listed = ",".join(str(int(number)) for number in ids)
    found: dict[int, list[Row]] = {number: [] for number in ids}
    for row in ledger.rows(f"SELECT * FROM {table} WHERE session_id IN ({listed}) ORDER BY id"):  # noqa: S608
        found[row["session_id"]].append(row)
    return found


def _session_users(ledger: Ledger, ids: list[int]) -> dict[int, list[answers.SessionUser]]:
    """The players by session, the newest first as in the documents."""
    seats = _children(ledger, "session_users", ids)
    users = _by_id(ledger, "users", {seat["user_id"] for group in seats.values() for seat in group})
    return {
        session_id: [
            {
                "id": seat["id"],
                "createdAt": wire_time(seat["created_ms"]),
                "user": user(users[seat["user_id"]]),
            }
            for seat in reversed(group)
        ]
        for session_id, group in seats.items()
    }


# --- Sessions ---


def session_items(ledger: Ledger, rows: list[Row]) -> list[answers.SessionItem]:
    players = _session_users(ledger, [row["id"] for row in rows])
    bays = _by_id(ledger, "bays", {row["bay_id"] for row in rows})
    games = _by_id(ledger, "games", {row["game_id"] for row in rows if row["game_id"] is not None})
    return [
        {
            **session_core(row),
            "game": None if row["game_id"] is None else game(games[row["game_id"]]),
            "bay": bay_brief(bays[row["bay_id"]]),
            "sessionUsers": players[row["id"]],
        }
        for row in rows
    ]


def session(ledger: Ledger, session_id: int) -> answers.Session:
    """Raises RefusalError."""
    row = get_session_row(ledger, session_id)
    item = session_items(ledger, [row])[0]
    paying = _by_id(ledger, "users", {row["billing_user_id"]})[row["billing_user_id"]]
    players = item["sessionUsers"]
    return {
        **session_core(row),
        "game": item["game"],
        "billingUser": payer(paying),
        # No documented call passes the turn on: it stays with the first player.
        "lastActiveSessionUser": players[-1] if players else None,
        "sessionUsers": players,
        "bay": {
            **item["bay"],
            "antennas": [
                antenna(one)
                for one in ledger.rows(
                    "SELECT * FROM antennas WHERE bay_id = :bay ORDER BY id", bay=row["bay_id"]
                )
            ],
        },
    }


def history_items(ledger: Ledger, rows: list[Row]) -> list[answers.HistoryItem]:
    ids = [row["id"] for row in rows]
    payers = _by_id(ledger, "users", {row["billing_user_id"] for row in rows})
    bays = _by_id(ledger, "bays", {row["bay_id"] for row in rows})
    players = _session_users(ledger, ids)
    payments = _children(ledger, "transactions", ids)
    extensions = _children(ledger, "extensions", ids)
    items: list[answers.HistoryItem] = []
    for row in rows:
        added = extensions[row["id"]]
        money = payments[row["id"]]
        items.append(
            {
                **session_core(row),
                "sessionTransaction": [transaction(one) for one in money],
                "bay": bay_brief(bays[row["bay_id"]]),
                "sessionUsers": players[row["id"]],
                "extenedSession": [
                    {
                        "id": one["id"],
                        "duration": one["duration_min"],
                        "amount": one["amount"],
                        "createdAt": wire_time(one["created_ms"]),
                    }
                    for one in added
                ],
                "billingUser": payer(payers[row["billing_user_id"]]),
                "extendedRequestTime": wire_time(added[-1]["created_ms"]) if added else None,
                "releaseTime": wire_time_or_none(row["release_ms"]),
                "extendedTime": sum(one["duration_min"] for one in added),
                "paymentPending": _sum_of(money, "DUE"),
                "paymentReceived": _sum_of(money, "PAID"),
            }
        )
    return items


def history_item(ledger: Ledger, session_id: int) -> answers.HistoryItem:
    """Raises RefusalError."""
    return history_items(ledger, [get_session_row(ledger, session_id)])[0]


def _sum_of(money: list[Row], status: str) -> int:
    return sum(one["amount"] - one["amount_discounted"] for one in money if one["status"] == status)


# --- Bays ---


def bays(ledger: Ledger, rows: list[Row]) -> list[answers.Bay]:
    floors = _by_id(ledger, "floors", {row["floor_id"] for row in rows})
    antennas: dict[int, Row] = {}
    for one in ledger.rows("SELECT * FROM antennas WHERE bay_id IS NOT NULL ORDER BY id DESC"):
        antennas[one["bay_id"]] = one  # the first antenna of a bay stands for it
    # Of two at one bay the oldest, as a move takes it.
    playing = {one["bay_id"]: one for one in ledger.rows(SESSIONS + "WHERE s.active = 1 ORDER BY s.id DESC")}
    found: list[answers.Bay] = []
    for row in rows:
        floor, spot, now = floors[row["floor_id"]], antennas.get(row["id"]), playing.get(row["id"])
        found.append(
            {
                **bay_brief(row),
                "floor": {
                    "id": floor["id"],
                    "number": floor["number"],
                    "createdAt": wire_time(floor["created_ms"]),
                },
                "antennas": None if spot is None else antenna(spot),
                "genericPrice": {
                    "id": 1,
                    "startTime": _PRICE_START,
                    "endTime": _PRICE_END,
                    "amount": _PRICE_AMOUNT,
                    "createdAt": wire_time(row["created_ms"]),
                },
                "status": status(row["status_id"], row["created_ms"]),
                "activeSession": None if now is None else session_core(now),
            }
        )
    return found


def status(status_id: int, created_ms: int) -> answers.Status:
    name, short_name, color, border = STATUSES[status_id]
    return {
        "id": status_id,
        "name": name,
        "shortName": short_name,
        "color": color,
        "border": border,
        "createdAt": wire_time(created_ms),
    }


def bay_state(row: Row) -> answers.BayStateAnswer:
    return {
        "bay": row["number"],
        "seq": row["seq"],
        "receivedAt": wire_time(row["received_ms"]),
        "body": json.loads(row["body"]),
    }
