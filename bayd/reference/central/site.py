"""The range around the bays: readers, antennas, pit targets, games, scores, intervals, variables."""

import json

from bayd.reference.central import answers, requests, views
from bayd.reference.central.ledger import Ledger, RefusalError, Row


def antenna_pairs(ledger: Ledger, wanted: requests.ReaderFilter, _: None) -> list[answers.ReaderWithAntennas]:
    """`readerId` is a `readerID`; an unknown one finds nothing (Reader component, 8)."""
    rows = ledger.rows(
        "SELECT * FROM readers WHERE :reader IS NULL OR reader_id = :reader ORDER BY id",
        reader=wanted.reader_id,
    )
    return [{**views.reader(row), "antennas": _antennas(ledger, "reader_id", row["id"])} for row in rows]


def list_antennas(ledger: Ledger, wanted: requests.AntennaFilter, _: None) -> list[answers.AntennaWithReader]:
    readers = {row["id"]: row for row in ledger.rows("SELECT * FROM readers")}
    return [
        {**views.antenna(row), "reader": views.reader(readers[row["reader_id"]])}
        for row in ledger.rows("SELECT * FROM antennas ORDER BY id")
        if wanted.type in (None, readers[row["reader_id"]]["reader_type"])
    ]


def list_pits(ledger: Ledger, _params: None, _body: None) -> list[answers.Pit]:
    return [
        {
            "id": row["id"],
            "name": row["name"],
            "createdAt": views.wire_time(row["created_ms"]),
            "antennas": _antennas(ledger, "pit_id", row["id"]),
        }
        for row in ledger.rows("SELECT * FROM pits ORDER BY id")
    ]


def _antennas(ledger: Ledger, column: str, value: int) -> list[answers.Antenna]:
    # `column` is a literal of this module.
    rows = ledger.rows(f"SELECT * FROM antennas WHERE {column} = :value ORDER BY id", value=value)  # noqa: S608
    return [views.antenna(row) for row in rows]


def list_games(ledger: Ledger, _params: None, _body: None) -> list[answers.Game]:
    return [views.game(row) for row in ledger.rows("SELECT * FROM games ORDER BY id")]


def list_scores(ledger: Ledger, wanted: requests.ScoreFilter, _: None) -> list[answers.Score]:
    rows = ledger.rows(
        "SELECT * FROM scores WHERE :game IS NULL OR game_id = :game ORDER BY id", game=wanted.game_id
    )
    return _scores(ledger, rows)


def set_scores(ledger: Ledger, _: None, body: list[requests.ScoreEntry]) -> list[answers.Score]:
    """Points by (game, pit antenna), both by name; an entry that exists takes the new points."""
    ids = []
    for index, entry in enumerate(body):
        game = ledger.find("SELECT id FROM games WHERE name = :name", name=entry.game.name)
        if game is None:
            raise RefusalError(404, f"{index}.game.name: no game has this name", f"{index}.game.name")
        antenna = ledger.find(
            "SELECT id FROM antennas WHERE name = :name AND pit_id IS NOT NULL", name=entry.pit_antenna.name
        )
        if antenna is None:
            field = f"{index}.pitAntenna.name"
            raise RefusalError(404, f"{field}: no antenna of a pit has this name", field)
        ids.append(set_score(ledger, game["id"], antenna["id"], entry.score))
    wanted = set(ids)
    return _scores(
        ledger, [row for row in ledger.rows("SELECT * FROM scores ORDER BY id") if row["id"] in wanted]
    )


def set_score(ledger: Ledger, game_id: int, antenna_id: int, score: int) -> int:
    ledger.write(
        "INSERT INTO scores (game_id, antenna_id, score, created_ms) VALUES (:game, :antenna, :score, :now)"
        " ON CONFLICT (game_id, antenna_id) DO UPDATE SET score = excluded.score",
        game=game_id,
        antenna=antenna_id,
        score=score,
        now=ledger.now_ms,
    )
    found = ledger.find(
        "SELECT id FROM scores WHERE game_id = :game AND antenna_id = :antenna",
        game=game_id,
        antenna=antenna_id,
    )
    assert found is not None
    return int(found["id"])


def _scores(ledger: Ledger, rows: list[Row]) -> list[answers.Score]:
    games = {row["id"]: row for row in ledger.rows("SELECT * FROM games")}
    antennas = {row["id"]: row for row in ledger.rows("SELECT * FROM antennas WHERE pit_id IS NOT NULL")}
    return [
        {
            "id": row["id"],
            "score": row["score"],
            "createdAt": views.wire_time(row["created_ms"]),
            "game": views.game(games[row["game_id"]]),
            "pitAntenna": views.antenna(antennas[row["antenna_id"]]),
        }
        for row in rows
        if row["antenna_id"] in antennas  # one that became a bay's antenna scores nothing
    ]


def list_intervals(ledger: Ledger, _params: None, _body: None) -> list[answers.TimeInterval]:
    return [
        {
            "id": row["id"],
            "interval": row["interval_min"],
            "enable": bool(row["enable"]),
            "createdAt": views.wire_time(row["created_ms"]),
        }
        for row in ledger.rows("SELECT * FROM time_intervals ORDER BY id")
    ]


def system_variable(
    ledger: Ledger, wanted: requests.VariableFilter, _: None
) -> answers.SystemVariable | list[answers.SystemVariable]:
    """One object when `name` is given, else all of them. Raises RefusalError for a name that is not known."""
    if wanted.name is None:
        return [_variable(row) for row in ledger.rows("SELECT * FROM system_variables ORDER BY id")]
    row = ledger.find("SELECT * FROM system_variables WHERE name = :name", name=wanted.name)
    if row is None:
        raise RefusalError(404, "name: no system variable has this name", "name")
    return _variable(row)


def _variable(row: Row) -> answers.SystemVariable:
    return {
        "id": row["id"],
        "name": row["name"],
        "details": json.loads(row["details"]),
        "createdAt": views.wire_time(row["created_ms"]),
    }
