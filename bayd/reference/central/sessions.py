"""The eight calls of the Session component, and the move of a session to another bay.

A session waits for its PIN, is active after verify, lapses by the server's own count, and is settled
by end: cancelled when it had not started, released when it had. PINs are unique among the unsettled
sessions of a bay, so a bay and a PIN name one session. A session that lapsed may still be extended
and ended; one that is settled takes nothing more.
"""

from bayd.reference.central import answers, money, requests, views
from bayd.reference.central.ledger import Ledger, RefusalError, Row

_PIN_DRAWS = 1000  # with a million PINs and some dozen unsettled sessions the second draw is rare


# --- 1 POST /session ---


def book(
    ledger: Ledger, _: None, body: requests.PlainBooking | requests.DiscountedBooking
) -> answers.Session:
    bay = views.get_bay(ledger, body.bay_number, "bayNumber")
    if views.STATUSES[bay["status_id"]][0] == "Not Available":
        raise RefusalError(409, f"bayNumber: bay {bay['number']} is not available", "bayNumber")
    billing_user = _customer(ledger, body.billing_user)
    session_id = ledger.write(
        "INSERT INTO sessions (pin, bay_id, billing_user_id, duration_min, granted_min, created_ms)"
        " VALUES (:pin, :bay, :user, :minutes, :minutes, :now)",
        pin=_free_pin(ledger, bay),
        bay=bay["id"],
        user=billing_user,
        minutes=body.duration,
        now=ledger.now_ms,
    )
    for player in body.session_users:
        ledger.write(
            "INSERT INTO session_users (session_id, user_id, created_ms) VALUES (:session, :user, :now)",
            session=session_id,
            user=_customer(ledger, player),
            now=ledger.now_ms,
        )
    money.charge(
        ledger,
        session_id,
        body.amount,
        discount=body.discount if isinstance(body, requests.DiscountedBooking) else None,
        payment_type=body.payment_type,
    )
    ledger.tell("session.booked", bay["number"], session_id)
    return views.session(ledger, session_id)


def _customer(ledger: Ledger, person: requests.Person) -> int:
    """One user per phone number; the latest name stands, or the first, as the settings want it."""
    found = ledger.find("SELECT id FROM users WHERE phone_number = :phone", phone=person.phone_number)
    if found is not None and ledger.settings.keeps_first_name:
        return int(found["id"])
    if found is not None:
        ledger.write("UPDATE users SET name = :name WHERE id = :id", name=person.name, id=found["id"])
        return int(found["id"])
    return ledger.write(
        "INSERT INTO users (name, phone_number, created_ms) VALUES (:name, :phone, :now)",
        name=person.name,
        phone=person.phone_number,
        now=ledger.now_ms,
    )


def _free_pin(ledger: Ledger, bay: Row) -> str:
    for _ in range(_PIN_DRAWS):
        pin = ledger.terms.draw_pin()
        if _unsettled_with_pin(ledger, bay, pin) is None:
            return pin
    raise RefusalError(
        409, f"bayNumber: bay {bay['number']} has no free PIN: end its old sessions", "bayNumber"
    )


def _unsettled_with_pin(ledger: Ledger, bay: Row, pin: str) -> Row | None:
    return ledger.find(
        "SELECT * FROM sessions WHERE bay_id = :bay AND pin = :pin AND cancel = 0 AND release_ms IS NULL",
        bay=bay["id"],
        pin=pin,
    )


# --- 2 POST /session/verify ---


def verify(ledger: Ledger, _: None, body: requests.Verification) -> answers.Session:
    """The right PIN at the right bay starts the session; again while it is active changes nothing.

    A session in the queue may start too: the bay lets the next customer in while the last one's end
    is still on its way here.
    """
    bay = views.find_bay(ledger, body.bay_number)
    if bay is None:
        raise RefusalError(422, "bayNumber: no bay has this number", "bayNumber")
    found = _unsettled_with_pin(ledger, bay, body.pin)
    if found is None:
        settled = ledger.find(
            "SELECT id, cancel FROM sessions WHERE bay_id = :bay AND pin = :pin ORDER BY id DESC LIMIT 1",
            bay=bay["id"],
            pin=body.pin,
        )
        if settled is None:
            raise RefusalError(422, f"pin: no session at bay {bay['number']} has this PIN", "pin")
        fate = "was cancelled" if settled["cancel"] else "has ended"
        raise RefusalError(409, f"pin: session {settled['id']} {fate}", "pin")
    if found["verified_ms"] is None:
        ledger.write(
            "UPDATE sessions SET active = 1, verified_ms = :now, ends_ms = :ends WHERE id = :id",
            id=found["id"],
            now=ledger.now_ms,
            ends=ledger.now_ms + found["granted_min"] * ledger.terms.minute_ms,
        )
        ledger.tell("session.verified", bay["number"], found["id"])
    elif not found["active"]:
        raise RefusalError(409, f"pin: the time of session {found['id']} is over", "pin")
    return views.session(ledger, found["id"])


# --- 3, 4, 8: reading ---


def list_sessions(ledger: Ledger, page: requests.Page, _: None) -> list[answers.SessionItem]:
    return views.session_items(ledger, _page(ledger, page))


def get_session(ledger: Ledger, params: requests.SessionId, _: None) -> answers.Session:
    return views.session(ledger, params.id)


def history(ledger: Ledger, page: requests.Page, _: None) -> list[answers.HistoryItem]:
    return views.history_items(ledger, _page(ledger, page))


def _page(ledger: Ledger, page: requests.Page) -> list[Row]:
    """Pages count from 1; a short page is the last."""
    order = "DESC" if ledger.settings.newest_first else "ASC"
    return ledger.rows(
        f"{views.SESSIONS} ORDER BY s.id {order} LIMIT :count OFFSET :skip",
        count=page.per_page,
        skip=(page.page - 1) * page.per_page,
    )


# --- 5 PATCH /session ---


def choose_game(ledger: Ledger, _: None, body: requests.GameChoice) -> answers.Session:
    row = _open_session(ledger, body.id)
    if ledger.find("SELECT id FROM games WHERE id = :id", id=body.game_id) is None:
        raise RefusalError(404, f"gameId: there is no game {body.game_id}", "gameId")
    ledger.write("UPDATE sessions SET game_id = :game WHERE id = :id", game=body.game_id, id=body.id)
    ledger.tell("session.game", _bay_number(ledger, row), body.id)
    return views.session(ledger, body.id)


# --- 6 POST /session/addSessionTime/:id ---


def add_time(ledger: Ledger, params: requests.SessionId, body: requests.ExtraTime) -> answers.HistoryItem:
    """Adds to `extendedTime`, and to `duration` where `extension_raises_duration` says so."""
    row = _open_session(ledger, params.id)
    ledger.write(
        "INSERT INTO extensions (session_id, duration_min, amount, created_ms)"
        " VALUES (:session, :minutes, :amount, :now)",
        session=params.id,
        minutes=body.duration,
        amount=body.amount,
        now=ledger.now_ms,
    )
    ends_ms = row["ends_ms"]
    active = row["active"]
    if ends_ms is not None:
        ends_ms += body.duration * ledger.terms.minute_ms
        active = active or ends_ms > ledger.now_ms  # one that lapsed plays on when time is left
    ledger.write(
        "UPDATE sessions SET granted_min = granted_min + :minutes, duration_min = duration_min + :raised,"
        " ends_ms = :ends, active = :active WHERE id = :id",
        id=params.id,
        minutes=body.duration,
        raised=body.duration if ledger.settings.extension_raises_duration else 0,
        ends=ends_ms,
        active=active,
    )
    money.charge(ledger, params.id, body.amount, discount=None, payment_type=None)
    ledger.tell("session.extended", _bay_number(ledger, row), params.id)
    return views.history_item(ledger, params.id)


# --- 7 POST /session/:id/end ---


def end(ledger: Ledger, params: requests.SessionId, _: None) -> answers.HistoryItem:
    """ "Cancel or delete" and "end" are one call: before the start it cancels, after it it releases."""
    row = _open_session(ledger, params.id)
    if row["verified_ms"] is None:
        ledger.write("UPDATE sessions SET cancel = 1 WHERE id = :id", id=params.id)
        ledger.tell("session.cancelled", _bay_number(ledger, row), params.id)
    else:
        ledger.write(
            "UPDATE sessions SET active = 0, release_ms = :now WHERE id = :id",
            now=ledger.now_ms,
            id=params.id,
        )
        ledger.tell("session.ended", _bay_number(ledger, row), params.id)
    return views.history_item(ledger, params.id)


# --- Bay component: POST /bay/sessionBayChange ---


def change_bay(ledger: Ledger, _: None, body: requests.BayChange) -> answers.Session:
    """Moves the session that plays at `currentBay`, else the oldest that waits there.

    `newDuration` is read as the session's new `duration`, extensions included; without it the session
    keeps its time. The session keeps its id, and its PIN unless one at the new bay has the same.
    """
    money.check_password(ledger, body.admin_password, ledger.settings.admin_password, "adminPassword")
    old = views.get_bay(ledger, body.current_bay, "currentBay")
    new = views.get_bay(ledger, body.new_bay, "newBay")
    if old["id"] == new["id"]:
        raise RefusalError(422, "newBay: is the current bay", "newBay")
    if views.STATUSES[new["status_id"]][0] == "Not Available":
        raise RefusalError(409, f"newBay: bay {new['number']} is not available", "newBay")
    row = live_session(ledger, old)
    if row is None:
        raise RefusalError(409, f"currentBay: bay {old['number']} has no session to move", "currentBay")
    if ledger.find("SELECT id FROM sessions WHERE bay_id = :bay AND active = 1", bay=new["id"]) is not None:
        raise RefusalError(409, f"newBay: somebody plays at bay {new['number']}", "newBay")
    values = {key: row[key] for key in ("pin", "duration_min", "granted_min", "ends_ms")}
    if body.new_duration is not None:
        minutes = int(body.new_duration)
        if row["active"]:
            values["ends_ms"] += (minutes - row["granted_min"]) * ledger.terms.minute_ms
        values["duration_min"] = values["granted_min"] = minutes
    if _unsettled_with_pin(ledger, new, row["pin"]) is not None:
        values["pin"] = _free_pin(ledger, new)
    ledger.write(
        "UPDATE sessions SET bay_id = :bay, pin = :pin, duration_min = :duration_min,"
        " granted_min = :granted_min, ends_ms = :ends_ms WHERE id = :id",
        bay=new["id"],
        id=row["id"],
        **values,
    )
    ledger.tell("session.moved", old["number"], row["id"])
    ledger.tell("session.moved", new["number"], row["id"])
    return views.session(ledger, row["id"])


def live_session(ledger: Ledger, bay: Row) -> Row | None:
    """The session that plays at the bay, else the oldest that waits there."""
    return ledger.find(
        "SELECT * FROM sessions WHERE bay_id = :bay AND cancel = 0 AND release_ms IS NULL"
        " AND (active = 1 OR verified_ms IS NULL) ORDER BY active DESC, id LIMIT 1",
        bay=bay["id"],
    )


def _open_session(ledger: Ledger, session_id: int) -> Row:
    """Raises RefusalError for a session that is unknown or settled."""
    row = views.get_session_row(ledger, session_id)
    if row["cancel"]:
        raise RefusalError(409, f"id: session {session_id} was cancelled", "id")
    if row["release_ms"] is not None:
        raise RefusalError(409, f"id: session {session_id} has ended", "id")
    return row


def _bay_number(ledger: Ledger, row: Row) -> str:
    found = ledger.find("SELECT number FROM bays WHERE id = :id", id=row["bay_id"])
    assert found is not None
    return str(found["number"])
