"""The Auth component: tokens for the staff, opaque, kept as digests.

An access token opens every call; a refresh token opens `GET /auth/refresh-token` only, which hands out
a new pair. The lengths of life are those of the documented tokens.
"""

import hashlib
import hmac
import secrets

from bayd.reference.central import answers, requests, views
from bayd.reference.central.ledger import Ledger, RefusalError, Row

ACCESS_LIFE_MS = 10 * 24 * 3600 * 1000
REFRESH_LIFE_MS = 30 * 24 * 3600 * 1000


def log_in(ledger: Ledger, _: None, body: requests.Login) -> answers.Tokens:
    """Raises RefusalError: which of the two was wrong is not said."""
    for member in ledger.settings.staff:
        right_phone = hmac.compare_digest(body.phone_number.encode(), member.phone_number.encode())
        right_pin = hmac.compare_digest(body.pin.encode(), member.pin.encode())
        if right_phone and right_pin:
            ledger.write(
                "INSERT INTO users (name, phone_number, last_login_ms, created_ms)"
                " VALUES (:name, :phone, :now, :now)"
                " ON CONFLICT (phone_number) DO UPDATE SET last_login_ms = :now",
                name=member.name,
                phone=member.phone_number,
                now=ledger.now_ms,
            )
            found = ledger.find("SELECT * FROM users WHERE phone_number = :phone", phone=member.phone_number)
            assert found is not None
            return _issue(ledger, found)
    raise RefusalError(401, "phoneNumber or pin is wrong", "pin")


def refresh(ledger: Ledger, presented: requests.Presented, _: None) -> answers.Tokens:
    """Raises RefusalError."""
    user_id = user_of(ledger, presented.token, kinds=("access", "refresh"))
    found = ledger.find("SELECT * FROM users WHERE id = :id", id=user_id)
    if found is None:
        raise RefusalError(
            401, "Authorization: send `Bearer` and a token of POST /auth/login", "Authorization"
        )
    return _issue(ledger, found)


def user_of(ledger: Ledger, token: str | None, *, kinds: tuple[str, ...]) -> int | None:
    """The user whom the token was issued to; None for an unknown or expired one."""
    found = ledger.find(
        "SELECT * FROM tokens WHERE digest = :digest AND expires_ms > :now",
        digest=_digest(token or ""),
        now=ledger.now_ms,
    )
    return int(found["user_id"]) if found is not None and found["kind"] in kinds else None


def accepts(ledger: Ledger, token: str | None) -> bool:
    """Whether the token opens the calls of the server."""
    fixed = any(
        hmac.compare_digest((token or "").encode(), known.encode()) for known in ledger.settings.bearer_tokens
    )
    return fixed or user_of(ledger, token, kinds=("access",)) is not None


def _issue(ledger: Ledger, user: Row) -> answers.Tokens:
    ledger.write("DELETE FROM tokens WHERE expires_ms <= :now", now=ledger.now_ms)
    access, renewal = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    for kind, token, life_ms in (("access", access, ACCESS_LIFE_MS), ("refresh", renewal, REFRESH_LIFE_MS)):
        ledger.write(
            "INSERT INTO tokens (digest, kind, user_id, expires_ms) VALUES (:digest, :kind, :user, :expires)",
            digest=_digest(token),
            kind=kind,
            user=user["id"],
            expires=ledger.now_ms + life_ms,
        )
    return {"accessToken": access, "refreshToken": renewal, "user": views.user(user)}


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
