"""The Bay component: bays with floor, antenna and status, their screens, and posted states.

A bay's status is what somebody wrote by PATCH; sessions never change it. `POST /bay/state` is an
extension of the reference server: it keeps the latest word of a bay controller about each bay.
"""

import json
from typing import Any

from bayd.reference.central import answers, requests, views
from bayd.reference.central.ledger import Ledger

STATUS_IDS = {text: number for number, status in views.STATUSES.items() for text in status[:2]}
EMPTY_BALL_LEVEL = 0  # the documents show 0 and 2; `fillBalls=true` lists the bays at 0

_OWING = (
    "id IN (SELECT s.bay_id FROM transactions t"
    " JOIN sessions s ON s.id = t.session_id WHERE t.status = 'DUE')"
)


def list_bays(ledger: Ledger, wanted: requests.BayFilter, _: None) -> list[answers.Bay]:
    conditions = ["1"]
    values: dict[str, Any] = {}
    if wanted.floor_no is not None:
        conditions.append("floor_id IN (SELECT id FROM floors WHERE number = :floor)")
        values["floor"] = str(wanted.floor_no)
    if wanted.status is not None:
        # No documented call asks for an extension, so "Ask Extension" (no stored status) finds no bay.
        conditions.append("status_id = :status")
        values["status"] = STATUS_IDS.get(wanted.status, -1)
    if wanted.fill_balls is not None:
        comparison = "<=" if wanted.fill_balls == "true" else ">"
        conditions.append(f"ball_level {comparison} {EMPTY_BALL_LEVEL}")
    if wanted.bay_number is not None:
        conditions.append("number = :number")
        values["number"] = wanted.bay_number
    if wanted.bill_generate is not None:
        conditions.append(_OWING if wanted.bill_generate == "true" else f"NOT {_OWING}")
    # Every condition is a literal of this module; what the caller gave is bound.
    sql = f"SELECT * FROM bays WHERE {' AND '.join(conditions)} ORDER BY id"  # noqa: S608
    return views.bays(ledger, ledger.rows(sql, **values))


def set_status(ledger: Ledger, _: None, body: requests.BayStatus) -> answers.Bay:
    bay = views.get_bay(ledger, body.number, "number")
    ledger.write(
        "UPDATE bays SET status_id = :status, ball_level = :level, booked_till = :till WHERE id = :id",
        status=STATUS_IDS[body.status],
        level=bay["ball_level"] if body.ball_level is None else body.ball_level,
        till=body.booked_till if "booked_till" in body.model_fields_set else bay["booked_till"],
        id=bay["id"],
    )
    ledger.tell("bay.status", body.number)
    return _bay(ledger, bay["id"])


def by_screen(ledger: Ledger, params: requests.ScreenId, _: None) -> answers.Bay | answers.NoBay:
    found = ledger.rows("SELECT * FROM bays WHERE screen_id = :screen", screen=params.screen_id)
    return views.bays(ledger, found)[0] if found else {}


def bind_screen(ledger: Ledger, _: None, body: requests.ScreenBinding) -> answers.Bay:
    """A screen stands at one bay: it leaves the one where it was."""
    bay = views.get_bay(ledger, body.number, "number")
    ledger.write("UPDATE bays SET screen_id = NULL WHERE screen_id = :screen", screen=body.screen_id)
    ledger.write("UPDATE bays SET screen_id = :screen WHERE id = :id", screen=body.screen_id, id=bay["id"])
    ledger.tell("bay.screen", body.number)
    return _bay(ledger, bay["id"])


def create_or_update(ledger: Ledger, _: None, body: requests.FloorPlan) -> list[answers.Bay]:
    """Bays by number, antennas by name (`<readerID>_<port>`); an unknown reader is added as a bay reader."""
    floor_id = floor(ledger, body.floor_number)
    numbers = []
    for entry in body.bay_object:
        bay_id = bay(ledger, entry.bay_number, floor_id)
        ledger.write("UPDATE bays SET floor_id = :floor WHERE id = :id", floor=floor_id, id=bay_id)
        reader_name, port = entry.antenna_name.rsplit("_", 1)
        antenna(ledger, reader_name, int(port), entry.power, entry.location, bay_id=bay_id)
        ledger.tell("bay.changed", entry.bay_number)
        numbers.append(entry.bay_number)
    wanted = set(numbers)
    return views.bays(
        ledger, [row for row in ledger.rows("SELECT * FROM bays ORDER BY id") if row["number"] in wanted]
    )


def _bay(ledger: Ledger, bay_id: int) -> answers.Bay:
    return views.bays(ledger, ledger.rows("SELECT * FROM bays WHERE id = :id", id=bay_id))[0]


# --- Building the range; the demonstration data are made with the same three ---


def floor(ledger: Ledger, number: str) -> int:
    found = ledger.find("SELECT id FROM floors WHERE number = :number", number=number)
    if found is not None:
        return int(found["id"])
    return ledger.write(
        "INSERT INTO floors (number, created_ms) VALUES (:number, :now)", number=number, now=ledger.now_ms
    )


def bay(ledger: Ledger, number: str, floor_id: int) -> int:
    found = views.find_bay(ledger, number)
    if found is not None:
        return int(found["id"])
    return ledger.write(
        "INSERT INTO bays (number, floor_id, ball_level, status_id, created_ms)"
        " VALUES (:number, :floor, 2, 1, :now)",
        number=number,
        floor=floor_id,
        now=ledger.now_ms,
    )


def antenna(
    ledger: Ledger,
    reader_name: str,
    port: int,
    power: str,
    location: str,
    *,
    bay_id: int | None = None,
    pit_id: int | None = None,
) -> int:
    """Adds the antenna, or moves it; its reader too when that is new."""
    reader = ledger.find("SELECT id FROM readers WHERE reader_id = :name", name=reader_name)
    reader_id = (
        reader["id"]
        if reader is not None
        else ledger.write(
            "INSERT INTO readers (reader_id, normal_id, active, reader_type, no_of_antennas, created_ms)"
            " VALUES (:name, 'reader_' || (SELECT COUNT(*) + 1 FROM readers), 1, :type, 8, :now)",
            name=reader_name,
            type="bay" if pit_id is None else "pit",
            now=ledger.now_ms,
        )
    )
    name = f"{reader_name}_{port}"
    ledger.write(
        "INSERT INTO antennas (name, reader_id, port, active, power, location, bay_id, pit_id, created_ms)"
        " VALUES (:name, :reader, :port, 1, :power, :location, :bay, :pit, :now)"
        " ON CONFLICT (name) DO UPDATE SET"
        " power = excluded.power, location = excluded.location,"
        " bay_id = excluded.bay_id, pit_id = excluded.pit_id",
        name=name,
        reader=reader_id,
        port=port,
        power=power,
        location=location,
        bay=bay_id,
        pit=pit_id,
        now=ledger.now_ms,
    )
    found = ledger.find("SELECT id FROM antennas WHERE name = :name", name=name)
    assert found is not None
    return int(found["id"])


# --- Extension: POST and GET /bay/state ---


def post_state(ledger: Ledger, _: None, body: requests.BayState) -> answers.StateReceipt:
    """The newest `seq` of a bay stands; an older one is ignored. Without `seq` the latest to come stands."""
    bay_row = views.get_bay(ledger, body.bay, "bay")
    known = ledger.find("SELECT seq FROM bay_states WHERE bay_id = :bay", bay=bay_row["id"])
    seq = body.seq
    if known is not None and known["seq"] is not None:
        if seq is not None and seq < known["seq"]:
            return {"bay": body.bay, "seq": known["seq"], "kept": False}
        seq = known["seq"] if seq is None else seq
    ledger.write(
        "INSERT INTO bay_states (bay_id, seq, body, received_ms) VALUES (:bay, :seq, :body, :now)"
        " ON CONFLICT (bay_id) DO UPDATE SET"
        " seq = excluded.seq, body = excluded.body, received_ms = excluded.received_ms",
        bay=bay_row["id"],
        seq=seq,
        body=json.dumps(body.model_dump(mode="json", exclude_unset=True)),
        now=ledger.now_ms,
    )
    ledger.tell("bay.state", body.bay)
    return {"bay": body.bay, "seq": seq, "kept": True}


def list_states(ledger: Ledger, _params: None, _body: None) -> list[answers.BayStateAnswer]:
    rows = ledger.rows(
        "SELECT bay_states.*, bays.number FROM bay_states JOIN bays ON bays.id = bay_id ORDER BY bays.id"
    )
    return [views.bay_state(row) for row in rows]
