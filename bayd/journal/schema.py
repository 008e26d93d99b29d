"""The journal's tables, as a list of migrations. A migration that has been released is never edited."""

from sqlite_utils import Database, Migrations

from bayd.journal.errors import JournalTooNewError

migrations = Migrations("bayd.journal")

PLAYS = (
    "kind IN ('SessionStarted', 'SessionMovedIn', 'SessionPaused', 'SessionResumed', 'SessionEnded',"
    " 'SessionMovedAway', 'BayHeld', 'BayReleased', 'BayTakenOutOfService', 'BayReturnedToService',"
    " 'OutageSeen')"
)
PAYMENTS = "kind IN ('WalkInSold', 'SessionExtended', 'DueSettled')"

_FIRST = (
    # The journal proper. `seq` is given by the writer and never used again: pruning keeps the last row.
    """CREATE TABLE events (
        seq INTEGER PRIMARY KEY,
        bay TEXT NOT NULL,
        kind TEXT NOT NULL,
        version INTEGER NOT NULL,
        payload TEXT NOT NULL,
        wall_ms INTEGER NOT NULL,
        boot_ms INTEGER NOT NULL,
        boot_id TEXT NOT NULL,
        synchronised INTEGER NOT NULL,
        batch TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX events_by_bay ON events (bay, seq)",
    "CREATE INDEX events_by_batch ON events (batch)",
    # A day at the bays is looked up by these few; see `Reader.plays`.
    f"CREATE INDEX plays_by_time ON events (wall_ms) WHERE {PLAYS}",
    """CREATE TABLE snapshots (
        bay TEXT PRIMARY KEY,
        seq INTEGER NOT NULL,
        reducer_version INTEGER NOT NULL,
        state TEXT NOT NULL
    ) STRICT""",
    # Up to which event a bay's past is no longer whole: from there on its snapshot is the only truth.
    """CREATE TABLE forgotten (
        bay TEXT PRIMARY KEY,
        seq INTEGER NOT NULL
    ) STRICT""",
    # Idempotency keys. `batch` ties an answer to its events: they expire together.
    """CREATE TABLE answers (
        key TEXT PRIMARY KEY,
        bay TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        status INTEGER NOT NULL,
        body TEXT NOT NULL,
        at_wall_ms INTEGER NOT NULL,
        batch TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE alive (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        boot_id TEXT NOT NULL,
        boot_ms INTEGER NOT NULL,
        wall_ms INTEGER NOT NULL,
        synchronised INTEGER NOT NULL
    ) STRICT""",
    # By this number a commit without events is recognised after the database was reopened.
    """CREATE TABLE commit_mark (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        number INTEGER NOT NULL
    ) STRICT""",
    """CREATE TABLE expired_batches (
        batch TEXT PRIMARY KEY,
        at_wall_ms INTEGER NOT NULL
    ) STRICT""",
    """CREATE TABLE pins (
        bay TEXT NOT NULL,
        session_id TEXT NOT NULL,
        digest BLOB NOT NULL,
        expires_wall_ms INTEGER NOT NULL,
        PRIMARY KEY (bay, session_id)
    ) STRICT""",
    """CREATE TABLE cursors (
        sink TEXT NOT NULL,
        bay TEXT NOT NULL,
        seq INTEGER NOT NULL,
        PRIMARY KEY (sink, bay)
    ) STRICT""",
    """CREATE TABLE calls (
        op_id TEXT PRIMARY KEY,
        sink TEXT NOT NULL,
        bay TEXT NOT NULL,
        session_id TEXT NOT NULL,
        seq INTEGER NOT NULL,
        kind TEXT NOT NULL,
        request TEXT NOT NULL,
        baseline TEXT,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        first_sent_wall_ms INTEGER,
        last_sent_wall_ms INTEGER,
        answer TEXT
    ) STRICT""",
    "CREATE INDEX calls_by_sink ON calls (sink, bay, seq)",
    """CREATE TABLE parked (
        sink TEXT NOT NULL,
        bay TEXT NOT NULL,
        session_id TEXT NOT NULL,
        seq INTEGER NOT NULL,
        reason TEXT NOT NULL,
        at_wall_ms INTEGER NOT NULL,
        PRIMARY KEY (sink, seq)
    ) STRICT""",
    # Browsers that were let in. The digest of 256 random bits gives nobody the token.
    """CREATE TABLE web_sessions (
        id TEXT PRIMARY KEY,
        digest BLOB NOT NULL UNIQUE,
        role TEXT NOT NULL,
        name TEXT NOT NULL,
        bay TEXT,
        since_wall_ms INTEGER NOT NULL
    ) STRICT""",
    # Who may sign in at the board. The digest is keyed: without the site key it gives no PIN away.
    """CREATE TABLE staff (
        name TEXT PRIMARY KEY,
        role TEXT NOT NULL,
        digest BLOB NOT NULL,
        since_wall_ms INTEGER NOT NULL,
        locked INTEGER NOT NULL
    ) STRICT""",
    # Wrong PINs at the board, also for names that nobody has.
    """CREATE TABLE sign_in_tries (
        name TEXT NOT NULL,
        address TEXT NOT NULL,
        known INTEGER NOT NULL,
        failures INTEGER NOT NULL,
        last_boot_ms INTEGER NOT NULL,
        boot_id TEXT NOT NULL,
        PRIMARY KEY (name, address)
    ) STRICT""",
    # What others told last, by name: it holds while they are away.
    """CREATE TABLE kept (
        name TEXT PRIMARY KEY,
        text TEXT NOT NULL
    ) STRICT""",
    # What people did. `batch` ties a row to its events: they expire together.
    """CREATE TABLE audit (
        id INTEGER PRIMARY KEY,
        batch TEXT NOT NULL,
        bay TEXT NOT NULL,
        wall_ms INTEGER NOT NULL,
        synchronised INTEGER NOT NULL,
        who TEXT NOT NULL,
        role TEXT NOT NULL,
        act TEXT NOT NULL,
        asked TEXT NOT NULL,
        reason TEXT NOT NULL,
        before TEXT NOT NULL,
        after TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX audit_by_time ON audit (wall_ms)",
)


@migrations(name="0001_journal")
def create_tables(db: Database) -> None:
    for statement in _FIRST:
        db.execute(statement)


@migrations(name="0002_parked_cause")
def tell_causes(db: Database) -> None:
    """Why an event is set aside was to be read from the first words of its reason."""
    db.execute("ALTER TABLE parked ADD COLUMN cause TEXT NOT NULL DEFAULT ''")
    for cause, words in (("alone", "alone in failing for an hour"), ("behind", "after item ")):
        db.execute(
            "UPDATE parked SET cause = ? WHERE sink = 'central' AND reason LIKE ? || '%'", (cause, words)
        )


@migrations(name="0003_payments_by_time")
def index_payments(db: Database) -> None:
    """What was taken in a day is looked up by these few; see `Reader.payments`."""
    db.execute(f"CREATE INDEX payments_by_time ON events (wall_ms) WHERE {PAYMENTS}")


def newest(known: Migrations = migrations) -> str:
    """The name of the layout that this release writes."""
    return max(_names(known))


def is_fresh(db: Database) -> bool:
    """Nothing of a journal is in this file yet."""
    return not db.table("events").exists()


def pending(db: Database, known: Migrations = migrations) -> list[str]:
    """The migrations that this file still needs. Raises JournalTooNewError when it knows more than we do."""
    applied = [migration.name for migration in known.applied(db)]
    needed = [migration.name for migration in known.pending(db)]
    if unknown := [name for name in applied if name not in _names(known)]:
        raise JournalTooNewError(
            f"the journal was written by a newer bayd (it has {', '.join(unknown)}): "
            "install that release again, or restore the backup made before the migration"
        )
    return needed


def _names(known: Migrations) -> set[str]:
    # To an empty database everything is pending.
    empty = Database(memory=True, execute_plugins=False)
    try:
        return {migration.name for migration in known.pending(empty)}
    finally:
        empty.close()
