"""The tolerant reader: what wanders is understood, what is missing is None, what is wrong is named."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bayd.clients.central import Secret, ServerExtension, ServerSession
from bayd.clients.central.decoding import (
    decode_antenna_pair,
    decode_bay,
    decode_list,
    decode_session,
    decode_system_variable,
    find_verified_session_id,
)
from bayd.clients.central.reading import FieldFault, ObjectReader, as_flag, as_instant_ms, as_text, as_whole

from .peers import item

ANTENNA = {
    "id": 24,
    "name": "b9f79d3710da1f3e_8",
    "port": 8,
    "active": True,
    "power": "20",
    "location": "109",
}


def _session(**changes: Any) -> tuple[ServerSession, list[str]]:
    notes: list[str] = []
    return decode_session(ObjectReader(item(**changes), "data", notes)), notes


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (8, 8), ("8", 8), (" 8 ", 8), (8.0, 8), ("-3", -3),
        (True, None), ("8.5", None), (8.5, None), ("", None), ("eight", None), (None, None), ([8], None),
        (2**60, None), (float("inf"), None), ("9" * 30, None), ("٨", None),
    ],
)  # fmt: skip
def test_whole_numbers_in_their_disguises(value: object, number: int | None) -> None:
    assert as_whole(value) == number


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        (True, True), (1, True), ("1", True), ("true", True), ("TRUE", True),
        (False, False), (0, False), ("0", False), ("false", False),
        (2, None), ("yes", None), ("", None), (None, None), ({}, None),
    ],
)  # fmt: skip
def test_flags_in_their_disguises(value: object, flag: bool | None) -> None:
    assert as_flag(value) is flag


def test_text_loses_what_harms_and_no_more() -> None:
    assert as_text(" Zoë\x00\x1b[31m \ud800Ünal\u202e\n2 ") == "Zoë[31m Ünal 2"
    assert as_text(109) == "109"
    assert as_text(109.0) == "109"
    assert as_text("   ") is None
    assert as_text(True) is None
    assert as_text(float("inf")) is None


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("2023-01-11T11:33:19.356Z", 1673436799356),
        ("2023-01-11T17:03:19.356+05:30", 1673436799356),
        ("2023-01-11T11:33:19Z", 1673436799000),
        ("2023-01-11T11:33:19.356", None),  # which zone?
        ("2022-10-01", None),
        ("17:00:00", None),
        ("", None),
        ("Z" * 1000, None),
    ],
)
def test_instants(text: str, at_ms: int | None) -> None:
    assert as_instant_ms(text) == at_ms


def test_types_that_wander_are_understood() -> None:
    bay = {**item()["bay"], "number": 102, "antennas": {**ANTENNA, "port": "8", "power": 20}}
    session, notes = _session(id="144", duration="60", cancel=0, active="false", bay=bay, sessionUsers=None)
    assert (session.id, session.duration_min, session.cancel, session.active) == (144, 60, False, False)
    assert session.bay_number == "102"
    assert session.bay.antennas is not None
    assert (session.bay.antennas[0].port, session.bay.antennas[0].power) == (8, "20")
    assert session.players is None
    assert notes == []


@pytest.mark.parametrize("shape", [[ANTENNA], ANTENNA, {"8": ANTENNA}])
def test_antennas_come_as_an_array_an_object_or_a_map(shape: object) -> None:
    bay = decode_bay(ObjectReader({"number": "109", "antennas": shape}, "data", []))
    assert bay.antennas is not None
    assert [antenna.port for antenna in bay.antennas] == [8]


def test_a_bay_of_the_list_of_bays() -> None:
    """Bay component, 2: floor, status and activeSession are there, and a price that nobody here reads."""
    document = {
        "id": 1, "number": "101", "screenId": None, "ballLevel": 2, "bookedTill": "2026-03-01T09:00:00.000Z",
        "floor": {"id": 1, "number": "1"}, "antennas": {**ANTENNA, "location": "101"},
        "genericPrice": {"startTime": "17:00:00", "amount": 545},
        "status": {"id": 3, "name": "Ongoing Game", "shortName": "Booked"}, "activeSession": {"id": 7},
    }  # fmt: skip
    bay = decode_bay(ObjectReader(document, "data", []))
    assert (bay.floor, bay.status, bay.active_session_id) == ("1", "Ongoing Game", 7)
    assert bay.booked is True


def test_a_booking_mark_that_cannot_be_read_still_marks() -> None:
    bay = decode_bay(ObjectReader({"number": "101", "bookedTill": "tonight"}, "data", []))
    assert bay.booked is True
    assert decode_bay(ObjectReader({"number": "101"}, "data", [])).booked is None


def test_a_reader_in_both_spellings() -> None:
    document = {"readerID": "Reader1", "noOfAntennas": "8", "readerType": "bay", "antennas": [ANTENNA]}
    pair = decode_antenna_pair(ObjectReader(document, "data", []))
    assert (pair.reader_id, pair.antenna_count, len(pair.antennas)) == ("Reader1", 8, 1)
    document["readerId"] = document.pop("readerID")
    assert decode_antenna_pair(ObjectReader(document, "data", [])) == pair


def test_a_system_variable() -> None:
    document = {"id": 7, "name": "Game Extention", "details": {"value": 1}}
    assert decode_system_variable(ObjectReader(document, "data", [])).value == 1


def test_a_release_is_known_only_when_it_is_said() -> None:
    assert _session()[0].released_known is False
    assert _session(releaseTime=None)[0].released_known is True
    released, _ = _session(releaseTime="2023-01-11T12:00:00.000Z")
    assert (released.released_known, released.released_at_ms) == (True, 1673438400000)
    garbled, notes = _session(releaseTime="yesterday")
    assert (garbled.released_known, garbled.released_at_ms) == (False, None)
    assert notes == ["data.releaseTime"]


def test_no_extension_gets_lost() -> None:
    extra = [{"id": 3, "duration": 5, "amount": "1000"}, {"duration": 5}, "what"]
    session, notes = _session(extenedSession=extra, extendedTime="10")
    assert session.extended_min == 10
    assert session.extensions == (
        ServerExtension(3, 5, 1000),
        ServerExtension(None, 5, None),
        ServerExtension(None),
    )
    assert notes == ["data.extenedSession", "data.extenedSession"]
    assert _session(extendedSession=extra[:1])[0].extensions == (ServerExtension(3, 5, 1000),)


@pytest.mark.parametrize(
    ("raw", "pin"),
    [
        ("012345", "012345"),
        (12345, "012345"),
        ("12345", None),
        ("", None),
        (None, None),
        (-1, None),
        (True, None),
    ],
)
def test_pins(raw: object, pin: str | None) -> None:
    session, notes = _session(pin=raw)
    assert session.pin == (None if pin is None else Secret(pin))
    assert notes == (["data.pin"] if pin is None and raw not in ("", None) else [])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("id", None), ("id", "x"), ("duration", None), ("duration", "an hour"), ("duration", -1),
        ("cancel", None), ("active", "maybe"), ("createdAt", "yesterday"), ("bay", None), ("bay", "102"),
        ("bay.number", None), ("bay.number", {}),
    ],
)  # fmt: skip
def test_a_needed_field_that_is_wrong_is_named(path: str, value: object) -> None:
    document = item()
    owner, _, leaf = path.rpartition(".")
    (document[owner] if owner else document)[leaf] = value
    with pytest.raises(FieldFault) as caught:
        decode_session(ObjectReader(document, "data", []))
    assert caught.value.path == f"data.{path}"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("game", {"id": 3}), ("game", 3), ("extendedTime", "long"), ("pin", "12"),
        ("sessionUsers", "many"), ("billingUser", 1), ("lastActiveSessionUser", []),
        ("bay.ballLevel", "full"),
        ("bay.antennas", 3),
    ],
)  # fmt: skip
def test_an_optional_field_that_is_wrong_costs_itself_only(path: str, value: object) -> None:
    document = item()
    owner, _, leaf = path.rpartition(".")
    (document[owner] if owner else document)[leaf] = value
    notes: list[str] = []
    assert decode_session(ObjectReader(document, "data", notes)).id == 144
    assert len(notes) == 1
    assert notes[0].startswith(f"data.{path}")


def test_a_game_that_cannot_be_read_is_not_no_game() -> None:
    assert _session(game={"name": "?"})[0].game_known is False


def test_one_bad_item_costs_itself_and_not_the_page() -> None:
    listing = decode_list([item(1), item(2, bay=None), "what", item(4)], decode_session, [])
    assert [session.id for session in listing.items] == [1, 4]
    assert [(skipped.index, skipped.field) for skipped in listing.skipped] == [
        (1, "data[1].bay"),
        (2, "data[2]"),
    ]


@pytest.mark.parametrize("data", [None, {}, "x", 3, {"rows": []}])
def test_no_list_is_an_error(data: object) -> None:
    with pytest.raises(FieldFault, match="data"):
        decode_list(data, decode_session, [])


@pytest.mark.parametrize(
    ("data", "session_id"),
    [
        ({"id": 24}, 24),
        ({"id": "24", "bay": {"number": 104}}, 24),
        ({"id": 24, "bay": {"number": "105"}}, None),
        ({"id": 9, "number": "104"}, None),  # a bay
        ({"id": 9, "phoneNumber": "x"}, None),  # a user
        ({}, None),
        (None, None),
        ("verified", None),
        (24, None),
    ],
)
def test_the_id_in_the_answer_of_verify(data: object, session_id: int | None) -> None:
    assert find_verified_session_id(data, "104") == session_id


_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


# No deadline: these machines are shared, and the first draw of a recursive strategy is slow.
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    changes=st.dictionaries(st.sampled_from([*item(), "antennas", "releaseTime", "extenedSession"]), _json)
)
def test_no_document_breaks_the_reader(changes: dict[str, Any]) -> None:
    document = {**item(), **changes}
    try:
        session = decode_session(ObjectReader(document, "data", []))
    except FieldFault as fault:
        assert fault.path.split(".")[1] in changes
    else:
        assert session.duration_min >= 0
