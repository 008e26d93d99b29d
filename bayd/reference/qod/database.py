"""The operator's own SQLite file: clients, tokens, used proofs, sessions, and events still to be sent.

One connection, used by one thread (`store`); every public method is one transaction. Sessions take
their course by `settle`, which each transaction runs first: nothing is ever read from before its due time.
What names a device or opens a sink is erased when its session is released; the times stay, for audits.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from bayd.reference.qod.credentials import Client
from bayd.reference.qod.events import PendingEvent, status_changed
from bayd.reference.qod.flows import Flow, flow_from_row
from bayd.reference.qod.orders import CreateOrders, EventOrder, as_usual
from bayd.reference.qod.requests import CreateRequest, Sink
from bayd.reference.qod.schema import migrations
from bayd.reference.qod.sessions import (
    Cause,
    QosSession,
    Status,
    delete,
    end,
    extend,
    network_s,
    next_step,
)

_BUSY_TIMEOUT_MS = 5_000  # another process may be registering a client


@dataclass(frozen=True, slots=True)
class AccessToken:
    token_sha256: str = field(repr=False)
    client: Client
    scope: frozenset[str]
    device_keys: frozenset[str] | None = field(repr=False)  # a 3-legged token names the one device it is for


@dataclass(frozen=True, slots=True)
class StoredSession:
    session: QosSession
    device_keys: frozenset[str]


class OperatorDatabase:
    """Synchronous; every call in one and the same thread."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)  # it holds telephone numbers
        self._db = Database(path)
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",  # outlives a kill; a power cut may take the last moments of a reference
            "foreign_keys=ON",
            "secure_delete=ON",
            f"busy_timeout={_BUSY_TIMEOUT_MS}",
        ):
            self._db.execute(f"PRAGMA {pragma}").fetchall()
        with self._transaction():  # two processes may both be the first
            migrations.apply(self._db)
        self.create_orders: Callable[[], CreateOrders] = CreateOrders
        self.event_orders: Callable[[Status], EventOrder] = as_usual

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        # IMMEDIATE, unlike `atomic()`: a deferred transaction that reads first cannot always begin to write.
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.conn.commit()
        except BaseException:
            self._db.conn.rollback()
            raise

    def _rows(self, sql: str, *values: object) -> list[dict[str, Any]]:
        return list(self._db.query(sql, values))

    # Clients and tokens

    def put_client(self, client: Client) -> None:
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO clients VALUES (?, ?, ?)",
                (client.client_id, client.secret_sha256, client.public_key_pem),
            )

    def find_client(self, client_id: str) -> Client | None:
        rows = self._rows("SELECT * FROM clients WHERE client_id = ?", client_id)
        return Client(**rows[0]) if rows else None

    def put_token(self, token: AccessToken, *, expires_at: float, now: float) -> None:
        keys = None if token.device_keys is None else json.dumps(sorted(token.device_keys))
        scope = " ".join(sorted(token.scope))
        with self._transaction():
            self._db.execute("DELETE FROM tokens WHERE expires_at <= ?", (now,))
            self._db.execute(
                "INSERT INTO tokens VALUES (?, ?, ?, ?, ?)",
                (token.token_sha256, token.client.client_id, scope, keys, expires_at),
            )

    def find_token(self, token_sha256: str, now: float) -> AccessToken | None:
        rows = self._rows(
            """SELECT scope, device_keys, clients.* FROM tokens JOIN clients USING (client_id)
               WHERE token_sha256 = ? AND expires_at > ?""",
            token_sha256,
            now,
        )
        if not rows:
            return None
        row = rows[0]
        keys = row["device_keys"]
        return AccessToken(
            token_sha256=token_sha256,
            client=Client(row["client_id"], row["secret_sha256"], row["public_key_pem"]),
            scope=frozenset(row["scope"].split()),
            device_keys=None if keys is None else frozenset(json.loads(keys)),
        )

    def revoke_token(self, token_sha256: str) -> None:
        with self._transaction():
            self._db.execute("DELETE FROM tokens WHERE token_sha256 = ?", (token_sha256,))

    def use_proof(self, client_id: str, jti: str, good_until: float, now: float) -> bool:
        """False: it was used before."""
        with self._transaction():
            self._db.execute("DELETE FROM used_proofs WHERE good_until < ?", (now,))
            cursor = self._db.execute(
                "INSERT OR IGNORE INTO used_proofs VALUES (?, ?, ?)", (client_id, jti, good_until)
            )
            return cursor.rowcount == 1

    # Sessions

    def create(self, session: QosSession, request: CreateRequest) -> QosSession | None:
        """The session as it stands right after; None: its flow overlaps one that is there."""
        now = session.created_at
        with self._transaction():
            self._settle(now)
            if self._overlapping(request.flow):
                return None
            orders = self.create_orders()
            available_due_at = None if orders.stays_requested else session.available_due_at
            terminate_due_at = (
                None if orders.terminate_after_s is None else session.created_at + orders.terminate_after_s
            )
            stored = replace(
                session,
                available_due_at=available_due_at,
                terminate_due_at=terminate_due_at,
                duration_s=session.duration_s if orders.granted_s is None else orders.granted_s,
            )
            self._insert(stored, request)
            self._settle(now)  # without a delay it is available at once
            return self._find(session.session_id).session

    def find(self, session_id: str, now: float) -> StoredSession | None:
        """None: there never was one, or it is released."""
        with self._transaction():
            self._settle(now)
            found = self._rows(
                "SELECT * FROM sessions WHERE session_id = ? AND released_at IS NULL", session_id
            )
            return self._stored(found[0]) if found else None

    def delete(self, session_id: str, now: float) -> None:
        with self._transaction():
            self._settle(now)
            session = self._find(session_id).session
            if session.released_at is None:
                self._advance(session, delete(session, now), now)

    def extend(
        self, session_id: str, additional_s: int, max_duration_s: int, now: float
    ) -> QosSession | None:
        """None: it is not AVAILABLE."""
        with self._transaction():
            self._settle(now)
            session = self._find(session_id).session
            if session.status is not Status.AVAILABLE:
                return None
            longer = extend(session, additional_s, max_duration_s)
            self._update(longer)
            return longer

    def terminate(self, session_id: str | None, now: float) -> int:
        """The network ends one session, or all; how many there were."""
        with self._transaction():
            self._settle(now)
            live = self._rows(
                "SELECT * FROM sessions WHERE ended_at IS NULL AND session_id = COALESCE(?, session_id)",
                session_id,
            )
            for row in live:
                session = self._stored(row).session
                self._advance(session, end(session, Cause.NETWORK_TERMINATED, now), now)
            return len(live)

    def of_device(self, client_id: str, device_keys: frozenset[str], now: float) -> list[QosSession]:
        """The client's own sessions of a device that are not released, oldest first."""
        with self._transaction():
            self._settle(now)
            rows = self._rows_of(device_keys, "AND client_id = ?", client_id)
            return [self._stored(row).session for row in rows]

    def ledger(self, now: float) -> list[dict[str, Any]]:
        """Every session that ever was, oldest first; nothing of the device."""
        with self._transaction():
            self._settle(now)
            rows = self._rows("SELECT * FROM sessions ORDER BY created_at, rowid")
            sessions = [self._stored(row).session for row in rows]
        return [
            {
                "session_id": session.session_id,
                "client_id": session.client_id,
                "x_correlator": session.x_correlator,
                "profile": session.profile,
                "duration_s": session.duration_s,
                "created_at": session.created_at,
                "available_at": session.available_at,
                "ended_at": session.ended_at,
                "released_at": session.released_at,
                "status": session.status.value,
                "cause": None if session.cause is None else session.cause.value,
                "network_s": network_s(session, now),
            }
            for session in sessions
        ]

    def _insert(self, session: QosSession, request: CreateRequest) -> None:
        sink = request.sink if request.sink is not None and request.sink.is_here else None
        row = _session_row(session) | {
            "session_id": session.session_id,
            "client_id": session.client_id,
            "x_correlator": session.x_correlator,
            "profile": session.profile,
            "retention_s": session.retention_s,
            "created_at": session.created_at,
            "echo": json.dumps(session.echo),
            "flow": json.dumps(request.flow.to_row()),
            "sink_url": sink.url if sink else None,
            "sink_token": sink.token if sink else None,
            "sink_token_expires_at": sink.token_expires_at if sink else None,
        }
        self._db.table("sessions").insert(row)
        self._db.table("session_devices").insert_all(
            {"device_key": key, "session_id": session.session_id} for key in sorted(request.flow.device_keys)
        )

    def _find(self, session_id: str) -> StoredSession:
        return self._stored(self._rows("SELECT * FROM sessions WHERE session_id = ?", session_id)[0])

    def _overlapping(self, flow: Flow) -> bool:
        for row in self._rows_of(flow.device_keys):
            stored = self._stored(row)
            theirs = flow_from_row(stored.device_keys, json.loads(row["flow"]))
            if stored.session.blocks_its_flow and flow.overlaps(theirs):
                return True
        return False

    def _rows_of(
        self, device_keys: frozenset[str], condition: str = "", *values: object
    ) -> list[dict[str, Any]]:
        return self._rows(
            f"""SELECT * FROM sessions WHERE released_at IS NULL AND session_id IN
                (SELECT session_id FROM session_devices WHERE device_key IN (SELECT value FROM json_each(?)))
                {condition} ORDER BY created_at, rowid""",  # noqa: S608 - `condition` is ours
            json.dumps(sorted(device_keys)),
            *values,
        )

    def _stored(self, row: Mapping[str, Any]) -> StoredSession:
        keys = self._rows("SELECT device_key FROM session_devices WHERE session_id = ?", row["session_id"])
        session = QosSession(
            session_id=row["session_id"],
            client_id=row["client_id"],
            x_correlator=row["x_correlator"],
            profile=row["profile"],
            duration_s=row["duration_s"],
            retention_s=row["retention_s"],
            created_at=row["created_at"],
            available_due_at=row["available_due_at"],
            available_at=row["available_at"],
            terminate_due_at=row["terminate_due_at"],
            ended_at=row["ended_at"],
            cause=None if row["cause"] is None else Cause(row["cause"]),
            released_at=row["released_at"],
            echo={} if row["echo"] is None else json.loads(row["echo"]),
        )
        return StoredSession(session, frozenset(key["device_key"] for key in keys))

    # The passing of time

    def settle(self, now: float) -> None:
        with self._transaction():
            self._settle(now)

    def next_due_at(self) -> float | None:
        """When something happens by itself, or an event is to be sent."""
        row = self._rows(
            """SELECT MIN(due_at) AS due_at FROM
               (SELECT due_at FROM sessions WHERE due_at IS NOT NULL
                UNION ALL SELECT due_at FROM events WHERE NOT held)"""
        )[0]
        due_at: float | None = row["due_at"]
        return due_at

    def _settle(self, now: float) -> None:
        # One step of one session at a time, the earliest first, so that events keep their order.
        while rows := self._rows("SELECT * FROM sessions WHERE due_at <= ? ORDER BY due_at LIMIT 1", now):
            session = self._stored(rows[0]).session
            step = next_step(session)
            assert step is not None, "due_at is only set while a step is due"
            self._advance(session, step.after, step.at)

    def _advance(self, before: QosSession, after: QosSession, at: float) -> None:
        """Store `after`, note the event that the change is worth, erase what a released session leaves."""
        if after.status is not before.status:
            # A deletion is only told of when it took something away (camara 1.1.0 deleteSession).
            silent = after.cause is Cause.DELETE_REQUESTED and before.status is not Status.AVAILABLE
            if not silent:
                self._note_event(after, at)
        self._update(after)
        if after.released_at is not None:
            self._db.execute(
                """UPDATE sessions SET echo = NULL, flow = NULL, sink_url = NULL, sink_token = NULL,
                   sink_token_expires_at = NULL WHERE session_id = ?""",
                (after.session_id,),
            )
            self._db.execute("DELETE FROM session_devices WHERE session_id = ?", (after.session_id,))

    def _update(self, session: QosSession) -> None:
        row = _session_row(session)
        self._db.execute(
            f"UPDATE sessions SET {', '.join(f'{name} = ?' for name in row)} WHERE session_id = ?",  # noqa: S608
            (*row.values(), session.session_id),
        )

    # Events

    def _note_event(self, session: QosSession, at: float) -> None:
        sink = self._sink_of(session.session_id)
        if sink is None:
            return
        order = self.event_orders(session.status)
        event = status_changed(session.session_id, session.status, session.cause, at)
        self._db.table("events").insert(
            {
                "session_id": session.session_id,
                "status": session.status.value,
                "url": sink.url,
                "token": sink.token,
                "token_expires_at": sink.token_expires_at,
                "body": json.dumps(event),
                "due_at": at + order.delay_s,
                "copies": order.copies,
                "held": order.held,
            }
        )

    def _sink_of(self, session_id: str) -> Sink | None:
        row = self._rows(
            "SELECT sink_url, sink_token, sink_token_expires_at FROM sessions WHERE session_id = ?",
            session_id,
        )[0]
        if row["sink_url"] is None:
            return None
        return Sink(row["sink_url"], row["sink_token"], row["sink_token_expires_at"])

    def due_events(self, now: float) -> list[PendingEvent]:
        rows = self._rows("SELECT * FROM events WHERE due_at <= ? AND NOT held ORDER BY due_at, seq", now)
        return [
            PendingEvent(
                seq=row["seq"],
                session_id=row["session_id"],
                url=row["url"],
                token=row["token"],
                token_expires_at=row["token_expires_at"],
                body=row["body"].encode(),
                copies=row["copies"],
                attempts=row["attempts"],
            )
            for row in rows
        ]

    def event_done(self, event: PendingEvent) -> None:
        """Sent, or given up; an event of the same session that waited for it may go."""
        with self._transaction():
            self._db.execute("DELETE FROM events WHERE seq = ?", (event.seq,))
            self._db.execute("UPDATE events SET held = 0 WHERE session_id = ?", (event.session_id,))

    def event_failed(self, event: PendingEvent, retry_at: float) -> None:
        with self._transaction():
            self._db.execute(
                "UPDATE events SET attempts = attempts + 1, due_at = ? WHERE seq = ?", (retry_at, event.seq)
            )

    def sink_gone(self, session_id: str) -> None:
        """The receiver said 410: nothing more of this session goes there."""
        with self._transaction():
            self._db.execute("DELETE FROM events WHERE session_id = ?", (session_id,))
            self._db.execute(
                "UPDATE sessions SET sink_url = NULL, sink_token = NULL WHERE session_id = ?", (session_id,)
            )


def _session_row(session: QosSession) -> dict[str, Any]:
    """What changes in the course of a session."""
    step = next_step(session)
    return {
        "duration_s": session.duration_s,
        "available_due_at": session.available_due_at,
        "available_at": session.available_at,
        "terminate_due_at": session.terminate_due_at,
        "ended_at": session.ended_at,
        "cause": None if session.cause is None else session.cause.value,
        "released_at": session.released_at,
        "due_at": None if step is None else step.at,
    }
