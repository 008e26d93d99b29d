"""The documented siblings of the Session component, and the extensions for a bay's state."""

from typing import Any

import pytest

from bayd.reference.central import CentralSettings, DemoGame, StaffLogin
from tests.reference.central.conftest import Central, Launch, discount


async def test_a_new_file_holds_a_range_of_42_bays(central: Central) -> None:
    bays = (await central.call("GET", "/bay")).data
    assert [bay["number"] for bay in bays] == [
        f"{floor}{place:02d}" for floor in (1, 2, 3) for place in range(1, 15)
    ]
    assert [bay["floor"]["number"] for bay in bays] == ["1"] * 14 + ["2"] * 14 + ["3"] * 14
    assert all(bay["antennas"]["location"] == bay["number"] for bay in bays)
    assert len({bay["screenId"] for bay in bays}) == 42
    games = (await central.call("GET", "/game")).data
    assert [(game["name"], game["ballsLimit"]) for game in games] == [
        ("GAME 1", 0),
        ("GAME 2", 20),
        ("GAME 3", 30),
    ]


async def test_the_bays_and_games_of_a_new_file_can_be_given(launch: Launch) -> None:
    central = await launch(bays=["7", "201"], games=[DemoGame("LONGEST DRIVE", 12)])
    assert [game["ballsLimit"] for game in (await central.call("GET", "/game")).data] == [12]
    bays = (await central.call("GET", "/bay")).data
    assert [(bay["number"], bay["floor"]["number"]) for bay in bays] == [("7", "1"), ("201", "2")]


async def test_antennas_are_an_object_in_a_bay_and_an_array_in_a_session(central: Central) -> None:
    session = await central.book("104")
    bay = (await central.call("GET", "/bay?bayNumber=104")).data[0]
    assert session["bay"]["antennas"] == [bay["antennas"]]
    assert isinstance(bay["antennas"]["port"], int)
    assert isinstance(bay["antennas"]["power"], str)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"101", "102", "103", "201"}),
        ("?floorNo&status&fillBalls&bayNumber&billGenerate", {"101", "102", "103", "201"}),
        ("?floorNo=2", {"201"}),
        ("?floorNo=9", set()),
        ("?status=Bay%20on%20Hold", {"102"}),
        ("?status=Hold", {"102"}),
        ("?status=Ask%20Extension", set()),
        ("?fillBalls=true", {"103"}),
        ("?fillBalls=false", {"101", "102", "201"}),
        ("?bayNumber=103", {"103"}),
        ("?bayNumber=999", set()),
        ("?billGenerate=true", {"101"}),
        ("?billGenerate=false&floorNo=1", {"102", "103"}),
    ],
)
async def test_bays_are_filtered(launch: Launch, query: str, expected: set[str]) -> None:
    central = await launch(bays=["101", "102", "103", "201"])
    await central.book("101", paymentType=None)
    await central.call("PATCH", "/bay", {"number": "102", "status": "Bay on Hold"})
    await central.call("PATCH", "/bay", {"number": "103", "status": "Available Bay", "ballLevel": 0})
    found = (await central.call("GET", f"/bay{query}")).data
    assert {bay["number"] for bay in found} == expected


async def test_a_status_is_written_by_name_and_sessions_never_change_it(central: Central) -> None:
    held = (await central.call("PATCH", "/bay", {"number": "104", "status": "Bay on Hold"})).data
    assert (held["status"]["id"], held["status"]["shortName"]) == (2, "Hold")
    session = await central.play("104")
    bay = (await central.call("GET", "/bay?bayNumber=104")).data[0]
    assert bay["status"]["name"] == "Bay on Hold"
    assert bay["activeSession"]["id"] == session["id"]
    assert (await central.call("PATCH", "/bay", {"number": "104", "status": "Broken"})).refusal(400)[
        "field"
    ] == "status"


async def test_booked_till_is_set_kept_and_taken_away(central: Central) -> None:
    till = "2026-06-01T10:00:00.000Z"
    body: dict[str, Any] = {"number": "104", "status": "Available Bay"}
    assert (await central.call("PATCH", "/bay", {**body, "bookedTill": till})).data["bookedTill"] == till
    assert (await central.call("PATCH", "/bay", body)).data["bookedTill"] == till
    assert (await central.call("PATCH", "/bay", {**body, "bookedTill": None})).data["bookedTill"] is None


async def test_a_screen_stands_at_one_bay(central: Central) -> None:
    assert (await central.call("GET", "/bay/screen/abc")).data == {}
    await central.call("PATCH", "/bay/screenId", {"screenId": "abc", "number": "104"})
    assert (await central.call("GET", "/bay/screen/abc")).data["number"] == "104"
    await central.call("PATCH", "/bay/screenId", {"screenId": "abc", "number": "105"})
    assert (await central.call("GET", "/bay/screen/abc")).data["number"] == "105"
    assert (await central.call("GET", "/bay?bayNumber=104")).data[0]["screenId"] is None


async def test_a_floor_is_laid_out_and_laid_out_again(central: Central) -> None:
    entry = {"bayNumber": "401", "antennaName": "aabbccddeeff0011_3", "power": "55", "location": "401"}
    plan = {"floorNumber": "4", "bayObject": [entry]}
    (laid_out,) = (await central.call("POST", "/bay/createOrUpdate", plan)).data
    (bay,) = (await central.call("POST", "/bay/createOrUpdate", plan)).data
    assert bay == laid_out
    assert (bay["floor"]["number"], bay["antennas"]["port"], bay["antennas"]["power"]) == ("4", 3, "55")
    assert len((await central.call("GET", "/bay")).data) == 43
    (reader,) = (await central.call("GET", "/reader/antennaPairs?readerId=aabbccddeeff0011")).data
    assert [antenna["name"] for antenna in reader["antennas"]] == ["aabbccddeeff0011_3"]
    await central.book("401")


async def test_readers_antennas_and_targets_fit_together(central: Central) -> None:
    readers = (await central.call("GET", "/reader/antennaPairs")).data
    assert [reader["readerType"] for reader in readers] == ["bay"] * 6 + ["pit"]
    assert (await central.call("GET", "/reader/antennaPairs?readerId=unknown")).data == []
    by_type = {kind: (await central.call("GET", f"/ant?type={kind}")).data for kind in ("bay", "pit")}
    assert {antenna["location"] for antenna in by_type["bay"]} == {
        bay["number"] for bay in (await central.call("GET", "/bay")).data
    }
    targets = (await central.call("GET", "/pit")).data
    assert [target["name"] for target in targets] == ["S1", "S2", "S3", "S4"]
    assert [antenna["location"] for target in targets for antenna in target["antennas"]] == [
        antenna["location"] for antenna in by_type["pit"]
    ]
    assert len((await central.call("GET", "/ant")).data) == 50


async def test_scores_are_read_and_written_by_game_and_pit_antenna(central: Central) -> None:
    before = (await central.call("GET", "/score?gameId=1")).data
    assert {score["game"]["id"] for score in before} == {1}
    assert len((await central.call("GET", "/score")).data) == 3 * len(before)
    target = before[0]["pitAntenna"]["name"]
    entry = {"game": {"name": "GAME 1"}, "pitAntenna": {"name": target}, "score": 77}
    (changed,) = (await central.call("POST", "/score", [entry])).data
    assert (changed["id"], changed["score"]) == (before[0]["id"], 77)
    unknown = [entry, {**entry, "pitAntenna": {"name": "no such"}, "score": 1}]
    assert (await central.call("POST", "/score", unknown)).refusal(404)["field"] == "1.pitAntenna.name"
    assert (await central.call("GET", "/score?gameId=1")).data[0]["score"] == 77


async def test_intervals_and_variables(central: Central) -> None:
    intervals = (await central.call("GET", "/timeIntervals")).data
    assert [(one["interval"], one["enable"]) for one in intervals] == [(15, True), (30, True), (60, True)]
    variable = (await central.call("GET", "/systemVariable?name=Game%20Extention")).data
    assert (variable["name"], variable["details"]) == ("Game Extention", {"value": 1})
    assert (await central.call("GET", "/systemVariable")).data == [variable]
    assert (await central.call("GET", "/systemVariable?name=Other")).refusal(404)["field"] == "name"


# --- Money ---


async def test_a_bay_gets_into_arrears_and_out_again(central: Central) -> None:
    session = await central.play("103")
    due = {
        "amount": 1000,
        "bayNumber": "103",
        "status": "DUE",
        "isDiscounted": True,
        "discount": discount(value=200),
    }
    owed = (await central.call("POST", "/transaction", due)).data
    assert (owed["status"], owed["discountType"], owed["amountDiscounted"]) == ("DUE", "FIXED", 200)
    assert (await central.call("GET", "/transaction/pendingDue/bayNumber/103")).data == [owed]
    assert (await central.call("GET", "/transaction/pendingDue/bayNumber/104")).data == []
    assert (await central.history(session["id"]))["paymentPending"] == 800
    pay = {
        "transcationId": owed["id"],
        "status": "PAID",
        "paymentType": {"type": "CASH"},
        "adminPassword": "demo-admin",
        "reason": "paid at the desk",
    }
    wrong = await central.call("PATCH", "/transaction", {**pay, "adminPassword": "guess"})
    assert wrong.refusal(422)["field"] == "adminPassword"
    paid = (await central.call("PATCH", "/transaction", pay)).data
    assert (paid["status"], paid["reason"]) == ("PAID", "paid at the desk")
    assert (await central.call("PATCH", "/transaction", pay)).refusal(409)["field"] == "transcationId"
    unknown = await central.call("PATCH", "/transaction", {**pay, "transcationId": 99})
    assert unknown.refusal(404)["field"] == "transcationId"
    assert (await central.call("GET", "/transaction/pendingDue/bayNumber/103")).data == []
    assert len((await central.call("GET", f"/transaction/session/{session['id']}")).data) == 2
    assert (await central.history(session["id"]))["paymentReceived"] == 1300


async def test_a_due_belongs_to_who_plays_else_who_waits_else_who_was_last(central: Central) -> None:
    due = {"amount": 10, "bayNumber": "103", "status": "DUE"}
    assert (await central.call("POST", "/transaction", due)).refusal(409)["field"] == "bayNumber"

    async def owing() -> list[int]:
        return [
            item["id"]
            for item in (await central.call("GET", "/session/history")).data
            if item["paymentPending"] == 10
        ]

    first = await central.book("103")
    second = await central.book("103")
    await central.call("POST", "/transaction", due)
    assert await owing() == [first["id"]]
    await central.verify("103", second["pin"])
    await central.call("POST", "/transaction", due)
    assert await owing() == [second["id"], first["id"]]
    for session in (first, second):
        await central.call("POST", f"/session/{session['id']}/end")
    await central.call("POST", "/transaction", due)
    assert (await central.history(second["id"]))["paymentPending"] == 20


# --- A bay's state (extension) ---


async def test_only_the_newest_state_of_a_bay_is_kept(central: Central) -> None:
    async def post(**body: Any) -> Any:
        return (await central.call("POST", "/bay/state", {"bay": "104", **body})).data

    assert await post(seq=5, state={"phase": "PLAYING"}, version="1") == {
        "bay": "104",
        "seq": 5,
        "kept": True,
    }
    assert (await post(seq=4, state="older"))["kept"] is False
    assert (await post(seq=5, state="again"))["kept"] is True
    assert await post(state=None) == {"bay": "104", "seq": 5, "kept": True}
    await central.call("POST", "/bay/state", {"bay": 105, "state": [1], "seq": 0})
    states = (await central.call("GET", "/bay/state")).data
    assert [(one["bay"], one["seq"], one["body"]) for one in states] == [
        ("104", 5, {"bay": "104", "state": None}),
        ("105", 0, {"bay": "105", "state": [1], "seq": 0}),
    ]
    assert (await central.call("POST", "/bay/state", {"bay": "999", "state": 1})).refusal(404)[
        "field"
    ] == "bay"


# --- Tokens ---


async def test_without_a_token_a_strict_server_answers_401_to_every_call(strict_central: Central) -> None:
    document = (await strict_central.call("GET", "/openapi.json")).document
    guarded = [
        (method.upper(), path.replace("{id}", "1").replace("{screenId}", "a").replace("{number}", "104"))
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if "security" in operation
    ]
    assert len(guarded) > 25
    for method, path in guarded:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic Zml4ZWQtdG9rZW4="}):
            answer = await strict_central.call(method, path, {}, headers=headers)
            assert answer.refusal(401)["field"] == "Authorization", path
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert (await strict_central.call("GET", "/bay", headers={"Authorization": "Bearer fixed-token"})).data


async def test_staff_tokens_open_the_server_and_run_out(launch: Launch) -> None:
    staff = (StaffLogin("desk", "1555010001", "987654"),)
    central = await launch(settings=CentralSettings(auth="bearer", staff=staff))
    wrong = {"phoneNumber": "1555010001", "pin": "111111"}
    assert (await central.call("POST", "/auth/login", wrong)).refusal(401)
    tokens = (await central.call("POST", "/auth/login", {**wrong, "pin": "987654"})).data
    assert tokens["user"]["name"] == "desk"
    access = {"Authorization": f"Bearer {tokens['accessToken']}"}
    renewal = {"Authorization": f"Bearer {tokens['refreshToken']}"}
    assert (await central.call("GET", "/session", headers=access)).data == []
    assert (await central.call("GET", "/session", headers=renewal)).refusal(401)
    await central.restart()
    central.clock.pass_minutes(10 * 24 * 60)
    assert (await central.call("GET", "/session", headers=access)).refusal(401)
    renewed = (await central.call("GET", "/auth/refresh-token", headers=renewal)).data
    again = {"Authorization": f"Bearer {renewed['accessToken']}"}
    assert (await central.call("GET", "/session", headers=again)).data == []
    central.clock.pass_minutes(20 * 24 * 60)
    assert (await central.call("GET", "/auth/refresh-token", headers=renewal)).refusal(401)
    kept = central.contents()
    assert not any(secret in kept for secret in (tokens["accessToken"], renewed["refreshToken"], "987654"))


def test_no_secret_of_the_settings_is_in_their_repr() -> None:
    settings = CentralSettings(
        bearer_tokens=frozenset({"s3cret"}), admin_password="s3cret", discount_password="s3cret",
        staff=(StaffLogin("desk", "1555010001", "s3cret"),),
    )  # fmt: skip
    assert "s3cret" not in repr(settings)
    assert "1555010001" not in repr(settings)
