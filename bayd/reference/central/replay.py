"""Extension of the reference server: `Idempotency-Key` on every POST and PATCH.

The documents know no such key. With one, the answer is kept in the same transaction as what it
answers: the same key gives the same answer, also after a crash, and nothing is done twice. The same
key with another request is refused.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from pydantic_core import from_json

from bayd.reference.central.ledger import Ledger, RefusalError

HEADER = "Idempotency-Key"
KEPT_MS = 7 * 24 * 3600 * 1000
KEY_PATTERN = r"^[\x21-\x7e]{1,200}$"


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes


def check_key(key: str) -> None:
    """Raises RefusalError."""
    if re.fullmatch(KEY_PATTERN, key) is None:
        raise RefusalError(400, f"{HEADER}: give 1 to 200 visible ASCII characters", HEADER)


def fingerprint(method: str, path: str, raw: bytes) -> str:
    """What makes two requests the same: method, path with query, and the body as JSON, not as text."""
    try:
        body = json.dumps(from_json(raw), sort_keys=True).encode()
    except ValueError:
        body = raw
    return hashlib.sha256(b"\0".join((method.encode(), path.encode(), body))).hexdigest()


def once(ledger: Ledger, key: str | None, request: str, act: Callable[[], Reply]) -> Reply:
    """Acts, or repeats the answer that the key already has. `request` is a fingerprint."""
    if key is None:
        return act()
    kept = ledger.find("SELECT * FROM replies WHERE key = :key", key=key)
    if kept is not None:
        if kept["fingerprint"] != request:
            raise RefusalError(422, f"{HEADER}: this key belongs to another request: take a new one", HEADER)
        return Reply(kept["status"], kept["body"])
    reply = act()
    ledger.write("DELETE FROM replies WHERE created_ms < :old", old=ledger.now_ms - KEPT_MS)
    ledger.write(
        "INSERT INTO replies (key, fingerprint, status, body, created_ms)"
        " VALUES (:key, :fingerprint, :status, :body, :now)",
        key=key,
        fingerprint=request,
        status=reply.status,
        body=reply.body,
        now=ledger.now_ms,
    )
    return reply
