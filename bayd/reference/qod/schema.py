"""The tables of the operator's file, one migration after another."""

from sqlite_utils import Database, Migrations

migrations = Migrations("bayd.reference.qod")


@migrations()
def first_tables(db: Database) -> None:
    for statement in (
        "CREATE TABLE clients (client_id TEXT PRIMARY KEY, secret_sha256 TEXT, public_key_pem TEXT)",
        """CREATE TABLE tokens (token_sha256 TEXT PRIMARY KEY, client_id TEXT NOT NULL, scope TEXT NOT NULL,
           device_keys TEXT, expires_at REAL NOT NULL)""",
        """CREATE TABLE used_proofs (client_id TEXT NOT NULL, jti TEXT NOT NULL, good_until REAL NOT NULL,
           PRIMARY KEY (client_id, jti)) WITHOUT ROWID""",
        """CREATE TABLE sessions (session_id TEXT PRIMARY KEY, client_id TEXT NOT NULL, x_correlator TEXT,
           profile TEXT NOT NULL, duration_s INTEGER NOT NULL, retention_s REAL NOT NULL,
           created_at REAL NOT NULL, available_due_at REAL, available_at REAL, terminate_due_at REAL,
           ended_at REAL, cause TEXT, released_at REAL, due_at REAL,
           echo TEXT, flow TEXT, sink_url TEXT, sink_token TEXT, sink_token_expires_at REAL)""",
        "CREATE INDEX sessions_due ON sessions (due_at) WHERE due_at IS NOT NULL",
        """CREATE TABLE session_devices (device_key TEXT NOT NULL,
           session_id TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
           PRIMARY KEY (device_key, session_id)) WITHOUT ROWID""",
        "CREATE INDEX session_devices_session ON session_devices (session_id)",
        """CREATE TABLE events (seq INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL,
           status TEXT NOT NULL, url TEXT NOT NULL, token TEXT, token_expires_at REAL, body TEXT NOT NULL,
           due_at REAL NOT NULL, copies INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
           held INTEGER NOT NULL DEFAULT 0)""",
    ):
        db.execute(statement)
