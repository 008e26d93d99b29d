"""The server's own database file: tables as a list of named migrations.

Times are whole milliseconds of UTC since the epoch, numbers of minutes are booked minutes. A session's
`ends_ms` is the instant at which the granted time is over by the server's own count; `granted_min` is
what verify will start it with. Ids are never used twice.
"""

from sqlite_utils import Database, Migrations

migrations = Migrations("bayd.reference.central")


@migrations()
def m001_site_sessions_money(db: Database) -> None:
    for statement in (
        """CREATE TABLE floors (
            id INTEGER PRIMARY KEY AUTOINCREMENT, number TEXT NOT NULL UNIQUE,
            created_ms INTEGER NOT NULL)""",
        """CREATE TABLE bays (
            id INTEGER PRIMARY KEY AUTOINCREMENT, number TEXT NOT NULL UNIQUE,
            floor_id INTEGER NOT NULL REFERENCES floors(id), screen_id TEXT UNIQUE, timer_id TEXT,
            ball_level INTEGER NOT NULL, booked_till TEXT, status_id INTEGER NOT NULL,
            created_ms INTEGER NOT NULL)""",
        """CREATE TABLE readers (
            id INTEGER PRIMARY KEY AUTOINCREMENT, reader_id TEXT NOT NULL UNIQUE, normal_id TEXT NOT NULL,
            active INTEGER NOT NULL, reader_type TEXT NOT NULL, no_of_antennas INTEGER NOT NULL,
            created_ms INTEGER NOT NULL)""",
        """CREATE TABLE pits (
            id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, created_ms INTEGER NOT NULL)""",
        """CREATE TABLE antennas (
            id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,
            reader_id INTEGER NOT NULL REFERENCES readers(id), port INTEGER NOT NULL, active INTEGER NOT NULL,
            power TEXT NOT NULL, location TEXT NOT NULL, bay_id INTEGER REFERENCES bays(id),
            pit_id INTEGER REFERENCES pits(id), created_ms INTEGER NOT NULL)""",
        """CREATE TABLE games (
            id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, image TEXT, description TEXT,
            rules TEXT, rules_image TEXT, balls_limit INTEGER NOT NULL, created_ms INTEGER NOT NULL)""",
        """CREATE TABLE scores (
            id INTEGER PRIMARY KEY AUTOINCREMENT, game_id INTEGER NOT NULL REFERENCES games(id),
            antenna_id INTEGER NOT NULL REFERENCES antennas(id), score INTEGER NOT NULL,
            created_ms INTEGER NOT NULL, UNIQUE (game_id, antenna_id))""",
        """CREATE TABLE users (
            id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, phone_number TEXT NOT NULL UNIQUE,
            email TEXT, is_locked INTEGER NOT NULL DEFAULT 0, last_login_ms INTEGER, last_activity_ms INTEGER,
            gender TEXT, birthdate TEXT, created_ms INTEGER NOT NULL)""",
        """CREATE TABLE sessions (
            id INTEGER PRIMARY KEY AUTOINCREMENT, pin TEXT NOT NULL,
            bay_id INTEGER NOT NULL REFERENCES bays(id),
            game_id INTEGER REFERENCES games(id), billing_user_id INTEGER NOT NULL REFERENCES users(id),
            duration_min INTEGER NOT NULL, granted_min INTEGER NOT NULL, cancel INTEGER NOT NULL DEFAULT 0,
            active INTEGER NOT NULL DEFAULT 0, verified_ms INTEGER, ends_ms INTEGER, release_ms INTEGER,
            created_ms INTEGER NOT NULL)""",
        "CREATE INDEX sessions_unsettled ON sessions (bay_id, id) WHERE cancel = 0 AND release_ms IS NULL",
        "CREATE INDEX sessions_active ON sessions (ends_ms) WHERE active = 1",
        "CREATE INDEX sessions_by_bay_and_pin ON sessions (bay_id, pin)",
        """CREATE TABLE session_users (
            id INTEGER PRIMARY KEY AUTOINCREMENT, session_id INTEGER NOT NULL REFERENCES sessions(id),
            user_id INTEGER NOT NULL REFERENCES users(id), created_ms INTEGER NOT NULL)""",
        "CREATE INDEX session_users_by_session ON session_users (session_id)",
        """CREATE TABLE extensions (
            id INTEGER PRIMARY KEY AUTOINCREMENT, session_id INTEGER NOT NULL REFERENCES sessions(id),
            duration_min INTEGER NOT NULL, amount INTEGER NOT NULL, created_ms INTEGER NOT NULL)""",
        "CREATE INDEX extensions_by_session ON extensions (session_id)",
        """CREATE TABLE transactions (
            id INTEGER PRIMARY KEY AUTOINCREMENT, session_id INTEGER NOT NULL REFERENCES sessions(id),
            amount INTEGER NOT NULL, amount_discounted INTEGER NOT NULL, discount_type TEXT, reason TEXT,
            status TEXT NOT NULL CHECK (status IN ('DUE', 'PAID')), payment_type TEXT,
            created_ms INTEGER NOT NULL)""",
        "CREATE INDEX transactions_by_session ON transactions (session_id)",
        "CREATE INDEX transactions_due ON transactions (session_id) WHERE status = 'DUE'",
        """CREATE TABLE time_intervals (
            id INTEGER PRIMARY KEY AUTOINCREMENT, interval_min INTEGER NOT NULL UNIQUE,
            enable INTEGER NOT NULL, created_ms INTEGER NOT NULL)""",
        """CREATE TABLE system_variables (
            id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, details TEXT NOT NULL,
            created_ms INTEGER NOT NULL)""",
        """CREATE TABLE tokens (
            digest TEXT PRIMARY KEY, kind TEXT NOT NULL, user_id INTEGER NOT NULL REFERENCES users(id),
            expires_ms INTEGER NOT NULL)""",
        """CREATE TABLE bay_states (
            bay_id INTEGER PRIMARY KEY REFERENCES bays(id), seq INTEGER, body TEXT NOT NULL,
            received_ms INTEGER NOT NULL)""",
        """CREATE TABLE replies (
            key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, body BLOB NOT NULL,
            created_ms INTEGER NOT NULL)""",
        "CREATE INDEX replies_by_age ON replies (created_ms)",
        """CREATE TABLE events (
            id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, bay_number TEXT NOT NULL,
            session_id INTEGER, created_ms INTEGER NOT NULL)""",
    ):
        db.execute(statement)
