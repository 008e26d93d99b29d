"""Signing up at the operator's desk: what no call of the API does, done on the database file itself.

Works beside a running operator, which reads clients and tokens anew for each call.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bayd.reference.qod.credentials import ClientRegistration, new_client, sha256
from bayd.reference.qod.database import AccessToken, OperatorDatabase
from bayd.reference.qod.flows import phone_key


def register_client(
    db: Path, client_id: str, secret: str | None = None, public_key_pem: str | None = None
) -> None:
    """A known client is replaced. Raises ValueError."""
    client = new_client(client_id, ClientRegistration(secret, public_key_pem))
    with _opened(db) as database:
        database.put_client(client)


def issue_device_token(
    db: Path,
    client_id: str,
    phone_number: str,
    scope: str,
    *,
    life_s: float = 3_600.0,
    clock: Callable[[], float] = time.time,
) -> str:
    """A 3-legged access token of `camara-1.1`, as if the owner of this device had consented.

    `clock` must be the operator's. Raises ValueError.
    """
    with _opened(db) as database:
        client = database.find_client(client_id)
        if client is None:
            raise ValueError(f"client {client_id}: is not registered")
        token = secrets.token_urlsafe(32)
        now = clock()
        keys = frozenset({phone_key(phone_number)})
        database.put_token(
            AccessToken(sha256(token), client, frozenset(scope.split()), keys),
            expires_at=now + life_s,
            now=now,
        )
    return token


@contextmanager
def _opened(db: Path) -> Iterator[OperatorDatabase]:
    database = OperatorDatabase(db)
    try:
        yield database
    finally:
        database.close()
