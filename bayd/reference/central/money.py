"""The Transaction component: what is owed for a session, and what was paid.

Amounts are whole numbers in the server's unit. A charge with a payment type is paid, one without is
due: so an extension (whose call carries no payment type) puts the bay into arrears.
"""

import hmac

from bayd.reference.central import answers, requests, views
from bayd.reference.central.ledger import Ledger, RefusalError, Row


def charge(
    ledger: Ledger,
    session_id: int,
    amount: int,
    *,
    discount: requests.Discount | None,
    payment_type: requests.PaymentType | None,
) -> int | None:
    """The new transaction's id; nothing is written for an amount of 0. Raises RefusalError."""
    if discount is not None:
        _check_discount(ledger, amount, discount)
    if amount == 0:
        return None
    return ledger.write(
        "INSERT INTO transactions (session_id, amount, amount_discounted, discount_type, reason, status,"
        " payment_type, created_ms)"
        " VALUES (:session, :amount, :discounted, :discount_type, :reason, :status, :payment_type, :now)",
        session=session_id,
        amount=amount,
        discounted=0 if discount is None else discount.value,
        discount_type=None if discount is None else "FIXED",
        reason=None if discount is None else discount.reason,
        status="DUE" if payment_type is None else "PAID",
        payment_type=None if payment_type is None else payment_type.type,
        now=ledger.now_ms,
    )


def _check_discount(ledger: Ledger, amount: int, discount: requests.Discount) -> None:
    check_password(ledger, discount.password, ledger.settings.discount_password, "discount.password")
    if discount.value > amount:
        raise RefusalError(422, "discount.value: is more than the amount", "discount.value")


def check_password(ledger: Ledger, given: str, wanted: str, field: str) -> None:
    """Raises RefusalError that names `field`, with the status that the settings want."""
    if not hmac.compare_digest(given.encode(), wanted.encode()):
        raise RefusalError(ledger.settings.password_refusal, f"{field}: this is not the password", field)


# --- POST /transaction ---


def add_due(
    ledger: Ledger, _: None, body: requests.PlainDue | requests.DiscountedDue
) -> answers.TransactionOfUser:
    """Owed by the session that plays at the bay, else the oldest that waits, else the latest one there."""
    bay = views.get_bay(ledger, body.bay_number, "bayNumber")
    session = ledger.find(
        "SELECT id FROM sessions WHERE bay_id = :bay ORDER BY active DESC,"
        " (verified_ms IS NULL AND cancel = 0) DESC,"
        " CASE WHEN verified_ms IS NULL AND cancel = 0 THEN id ELSE -id END LIMIT 1",
        bay=bay["id"],
    )
    if session is None:
        raise RefusalError(409, f"bayNumber: bay {bay['number']} has had no session yet", "bayNumber")
    transaction_id = charge(
        ledger,
        session["id"],
        body.amount,
        discount=body.discount if isinstance(body, requests.DiscountedDue) else None,
        payment_type=None,
    )
    ledger.tell("transaction.due", bay["number"], session["id"])
    return _of_users(ledger, _rows(ledger, "t.id = :id", id=transaction_id))[0]


# --- GET /transaction/session/:id and /transaction/pendingDue/bayNumber/:n ---


def of_session(ledger: Ledger, params: requests.SessionId, _: None) -> list[answers.TransactionOfUser]:
    views.get_session_row(ledger, params.id)
    return _of_users(ledger, _rows(ledger, "t.session_id = :id", id=params.id))


def pending_due(ledger: Ledger, params: requests.BayNumberPart, _: None) -> list[answers.TransactionOfUser]:
    """Whatever is still due from any session of the bay; an empty list: nothing."""
    bay = views.get_bay(ledger, params.number, "number")
    return _of_users(ledger, _rows(ledger, "t.status = 'DUE' AND s.bay_id = :bay", bay=bay["id"]))


# --- PATCH /transaction ---


def pay(ledger: Ledger, _: None, body: requests.Payment) -> answers.TransactionOfUser:
    check_password(ledger, body.admin_password, ledger.settings.admin_password, "adminPassword")
    found = _rows(ledger, "t.id = :id", id=body.transcation_id)
    if not found:
        raise RefusalError(
            404, f"transcationId: there is no transaction {body.transcation_id}", "transcationId"
        )
    if found[0]["status"] == "PAID":
        raise RefusalError(409, f"transcationId: transaction {body.transcation_id} is paid", "transcationId")
    ledger.write(
        "UPDATE transactions SET status = 'PAID', payment_type = :type, reason = :reason WHERE id = :id",
        type=body.payment_type.type,
        reason=body.reason,
        id=body.transcation_id,
    )
    ledger.tell("transaction.paid", found[0]["bay_number"], found[0]["session_id"])
    return _of_users(ledger, _rows(ledger, "t.id = :id", id=body.transcation_id))[0]


def _rows(ledger: Ledger, where: str, **values: object) -> list[Row]:
    # `where` is a literal of this module.
    return ledger.rows(
        "SELECT t.*, s.billing_user_id, b.number AS bay_number FROM transactions t"  # noqa: S608
        " JOIN sessions s ON s.id = t.session_id JOIN bays b ON b.id = s.bay_id"
        f" WHERE {where} ORDER BY t.id",
        **values,
    )


def _of_users(ledger: Ledger, rows: list[Row]) -> list[answers.TransactionOfUser]:
    found: list[answers.TransactionOfUser] = []
    for row in rows:
        paying = ledger.find("SELECT * FROM users WHERE id = :id", id=row["billing_user_id"])
        assert paying is not None
        found.append({**views.transaction(row), "billingUser": views.payer(paying), "employee": None})
    return found
