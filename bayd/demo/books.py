"""Five books of one evening, side by side: journal, central server, hoppers, mobile operator, and the truth.

Each is read from its own file, and none is derived from another. Every line that is compared names what it
counts; two books that differ in a line make the evening fail.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bayd.demo.network import NetworkBook, read_network
from bayd.demo.script import Receipts

PLAYED_TOLERANCE_S = 0.5  # of a PC with other things to do; a quarter of a minute of the demo
_PLAYED = "seconds played"
NETWORK_TOLERANCE_S = 5.0  # from the end of play to the operator's answer, all sessions together


@dataclass(slots=True)
class SessionBook:
    """One session as one book tells it; what a book does not know is None."""

    bay: str
    minutes: int | None = None
    money: int | None = None
    starts: int = 0
    ends: int = 0
    played_s: float | None = None
    ended_by: str | None = None
    owed: int = 0  # balls asked for and granted
    paid: int = 0
    read: int = 0
    hit_live: int = 0
    hit_blind: int = 0
    never_hit: int = 0


@dataclass(frozen=True, slots=True)
class HopperBook:
    commanded: int
    counted: int
    paid: int


@dataclass(frozen=True, slots=True)
class Books:
    journal: Mapping[str, SessionBook]
    central: Mapping[str, SessionBook]
    hoppers: Mapping[str, HopperBook]
    truth: Mapping[str, SessionBook]
    dispensed: Mapping[str, HopperBook]  # by hopper, as the journal has it
    sold: Mapping[str, tuple[int, int]]  # session -> minutes and money, from what people said and paid
    own_money: Mapping[str, int]  # session -> money of extensions given at the bay, as the journal has it
    given: Mapping[str, int]  # session -> money of those extensions, as staff said it
    minute_s: float
    network: NetworkBook


@dataclass(frozen=True, slots=True)
class Line:
    """One comparison: what, and what each book says."""

    what: str
    said: tuple[tuple[str, object], ...]
    agrees: bool

    @property
    def differs_in_time_played(self) -> bool:
        """What a PC that is too busy for the demo brings about, too."""
        return not self.agrees and self.what.endswith(_PLAYED)

    def __str__(self) -> str:
        told = ", ".join(f"{book} {value}" for book, value in self.said)
        return f"{self.what}: {told}"


def read_books(journal: Path, central: Path, truth: Path, operator: Path, receipts: Receipts) -> Books:
    journal_sessions, dispensed, own_money = _read_journal(journal)
    extended = [*receipts.desk_extensions.items(), *receipts.bay_extensions.items()]
    sold = {str(b.session): (b.minutes, b.amount) for b in receipts.booked}
    for session, (more, amount) in extended:
        minutes, money = sold[str(session)]
        sold[str(session)] = (minutes + more, money + amount)
    return Books(
        journal_sessions,
        _read_central(central),
        _read_hoppers(truth),
        _read_truth(truth),
        dispensed,
        sold,
        own_money,
        {str(session): amount for session, (_, amount) in receipts.bay_extensions.items()},
        receipts.minute_s,
        read_network(journal, operator),
    )


def compare(books: Books) -> list[Line]:
    """Every line of every pair of books that speak of the same thing."""
    lines: list[Line] = []
    for session in sorted(set(books.journal) | set(books.central) | set(books.truth), key=int):
        lines += _compare_session(session, books)
    for hopper in sorted(set(books.hoppers) | set(books.dispensed)):
        lines += _compare_hopper(hopper, books)
    lines += _compare_network(books.network)
    return lines


def _compare_session(session: str, books: Books) -> Iterable[Line]:
    name = f"session {session}"
    journal = books.journal.get(session, SessionBook("?"))
    central = books.central.get(session, SessionBook("?"))
    truth = books.truth.get(session, SessionBook("?"))
    minutes, money = books.sold.get(session, (0, 0))
    yield _exact(f"{name} minutes", journal=journal.minutes, central=central.minutes, receipts=minutes)
    yield _exact(f"{name} money", central=central.money, receipts=money)
    own, given = books.own_money.get(session, 0), books.given.get(session, 0)
    yield _exact(f"{name} money at the bay", journal=own, receipts=given)
    yield _exact(f"{name} starts", journal=journal.starts, central=central.starts, truth=truth.starts)
    yield _exact(f"{name} ends", journal=journal.ends, central=central.ends, truth=truth.ends)
    yield _exact(f"{name} balls paid", journal=journal.paid, truth=truth.paid)
    yield _exact(f"{name} balls read", journal=journal.read, truth=truth.hit_live)
    not_read = truth.never_hit + truth.hit_blind
    yield _exact(f"{name} balls not read", journal=journal.paid - journal.read, truth=not_read)
    yield Line(f"{name} hit while blind", (("truth", truth.hit_blind),), agrees=True)
    sold_s = minutes * books.minute_s if journal.ended_by == "time" else None
    paid_for = {} if sold_s is None else {"receipts": sold_s}  # who is ended early plays less
    yield _close(f"{name} {_PLAYED}", journal=journal.played_s, truth=truth.played_s, **paid_for)


def _compare_hopper(hopper: str, books: Books) -> Iterable[Line]:
    said = books.hoppers.get(hopper, HopperBook(0, 0, 0))
    own = books.dispensed.get(hopper, HopperBook(0, 0, 0))
    yield _exact(f"hopper {hopper} commanded", journal=own.commanded, hopper=said.commanded)
    yield _exact(f"hopper {hopper} counted", journal=own.counted, hopper=said.counted)
    yield _exact(f"hopper {hopper} paid", journal=own.paid, hopper=said.paid)


def _compare_network(book: NetworkBook) -> Iterable[Line]:
    yield _exact("network sessions", journal=book.known, operator=book.created)
    yield _exact("network sessions deleted after play", journal=book.known, operator=book.deleted)
    minutes = (("journal", round(book.played_s / 60, 2)), ("operator", round(book.network_s / 60, 2)))
    yield Line("network minutes, and play", minutes, agrees=True)
    outside = (("operator", round(book.outside_s / 60, 2)),)
    yield Line("network minutes outside play", outside, book.outside_s <= NETWORK_TOLERANCE_S)


def _exact(what: str, **said: object) -> Line:
    values = list(said.values())
    return Line(what, tuple(said.items()), all(value == values[0] for value in values))


def _close(what: str, **said: float | None) -> Line:
    values = [value for value in said.values() if value is not None]
    agrees = len(values) == len(said) and max(values) - min(values) <= PLAYED_TOLERANCE_S
    rounded = tuple((book, None if value is None else round(value, 3)) for book, value in said.items())
    return Line(what, rounded, agrees)


# Each book from its own file


def _read_journal(path: Path) -> tuple[dict[str, SessionBook], dict[str, HopperBook], dict[str, int]]:
    sessions: dict[str, SessionBook] = {}
    payouts: dict[str, _Payout] = {}
    own_money: dict[str, int] = {}
    for bay, kind, payload in _rows(path, "SELECT bay, kind, payload FROM events ORDER BY seq"):
        event: dict[str, Any] = json.loads(payload)
        book = sessions.setdefault(event["session_id"], SessionBook(bay)) if "session_id" in event else None
        match kind:
            case "SessionStarted":
                assert book is not None
                book.starts += 1
                book.minutes = event["minutes"]
            case "SessionExtended":
                assert book is not None
                book.minutes = (book.minutes or 0) + event["minutes"]
                if event["own"]:
                    session = event["session_id"]
                    own_money[session] = own_money.get(session, 0) + (event["amount"] or 0)
            case "SessionEnded":
                assert book is not None
                book.ends += 1
                book.played_s = event["played_ms"] / 1000
                book.ended_by = event["reason"]
            case "PayoutRequested":
                assert book is not None
                payouts[event["payout_id"]] = _Payout(event["dispenser"])
                book.owed += event["balls"] - event["from_balance"]
            case "PayoutMarked":
                payouts[event["payout_id"]].commanded += event["balls"]
            case "BallsPaid" | "PayoutClosed":
                assert book is not None
                payout = payouts[event["payout_id"]]
                book.paid += event["paid"] - payout.paid
                payout.paid = event["paid"]
            case "BallRead":
                assert book is not None
                book.read += 1
            case _:
                pass
    hoppers: dict[str, HopperBook] = {}
    for payout in payouts.values():
        before = hoppers.get(payout.dispenser, HopperBook(0, 0, 0))
        paid = before.paid + payout.paid
        hoppers[payout.dispenser] = HopperBook(before.commanded + payout.commanded, paid, paid)
    played = {session: book for session, book in sessions.items() if book.starts}
    return played, hoppers, own_money


@dataclass(slots=True)
class _Payout:
    dispenser: str
    commanded: int = 0
    paid: int = field(default=0)


def _read_central(path: Path) -> dict[str, SessionBook]:
    books: dict[str, SessionBook] = {}
    rows = _rows(
        path,
        "SELECT s.id, b.number, s.duration_min, s.verified_ms, s.release_ms, s.cancel, "
        "(SELECT coalesce(sum(duration_min), 0) FROM extensions WHERE session_id = s.id), "
        "(SELECT coalesce(sum(amount), 0) FROM transactions WHERE session_id = s.id) "
        "FROM sessions s JOIN bays b ON b.id = s.bay_id",
    )
    for session, bay, minutes, verified_ms, release_ms, cancel, more, money in rows:
        books[str(session)] = SessionBook(
            bay,
            minutes=minutes + more,
            money=money,
            starts=int(verified_ms is not None),
            ends=int(release_ms is not None or bool(cancel)),
        )
    return books


def _read_hoppers(path: Path) -> dict[str, HopperBook]:
    rows = _rows(path, "SELECT name, commanded, counted, paid FROM hoppers")
    return {name: HopperBook(commanded, counted, paid) for name, commanded, counted, paid in rows}


def _read_truth(path: Path) -> dict[str, SessionBook]:
    books: dict[str, SessionBook] = {}
    for bay, session, began, ended in _rows(path, "SELECT bay, session, began, ended FROM plays"):
        played_s = None if ended is None else ended - began
        books[session] = SessionBook(bay, starts=1, ends=int(ended is not None), played_s=played_s)
    for bay, session, hit_bay in _rows(path, "SELECT bay, session, hit_bay FROM balls"):
        book = books.setdefault(session or "0", SessionBook(bay or "?"))
        book.paid += 1
        book.never_hit += hit_bay is None
    hits = "SELECT hit_bay, hit_session, listens FROM balls WHERE hit_bay IS NOT NULL"
    for bay, session, listens in _rows(path, hits):
        book = books.setdefault(session or "0", SessionBook(bay))
        if listens:
            book.hit_live += 1
        else:
            book.hit_blind += 1
    return books


def _rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()
