"""The reception's page, used as a browser without scripts uses it."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from bayd.reference.central import CentralSettings
from tests.reference.central.conftest import Answer, Central, Launch


class Page(HTMLParser):
    """Forms with their hidden fields, the lines of the table, the notice."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []
        self.lines: dict[str, str] = {}
        self.said = ""
        self._line: str | None = None
        self._in_notice = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            assert given["method"] == "post"
            self.forms.append((given["action"], {}))
        elif tag == "input" and "value" in given:
            self.forms[-1][1][given["name"]] = given["value"]
        elif tag == "tr" and given.get("id", "").startswith("bay-"):
            self._line = given["id"].removeprefix("bay-")
            self.lines[self._line] = ""
        elif tag == "p":
            self._in_notice = "said" in given.get("class", "").split()

    def handle_endtag(self, tag: str) -> None:
        if tag == "tr":
            self._line = None
        elif tag == "p":
            self._in_notice = False

    def handle_data(self, data: str) -> None:
        if self._line is not None:
            self.lines[self._line] += data
        if self._in_notice:
            self.said += data

    def form(self, action: str) -> dict[str, str]:
        return next(fields for name, fields in self.forms if name == action)


async def _open(central: Central, path: str = "/") -> Page:
    answer = await central.call("GET", path)
    assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (200, "text/html")
    return Page(answer.text)


async def _submit(central: Central, action: str, fields: dict[str, str], **headers: str) -> Answer:
    async with central.http.post(action, data=fields, headers=headers, allow_redirects=False) as response:
        return Answer(response.status, dict(response.headers), await response.text())


async def _done(central: Central, action: str, fields: dict[str, str]) -> Page:
    """Submits and follows the redirect."""
    answer = await _submit(central, action, fields)
    assert answer.status == 303, Page(answer.text).said
    return await _open(central, answer.headers["Location"])


def _booking(page: Page, bay: str = "104", name: str = "Example Customer") -> dict[str, str]:
    return {
        **page.form("/desk/book"),
        "bayNumber": bay,
        "name": name,
        "phoneNumber": "1555010002",
        "paymentType": "CASH",
    }


async def test_book_extend_move_and_end_at_the_desk(central: Central) -> None:
    page = await _open(central)
    assert len(page.lines) == 42
    page = await _done(central, "/desk/book", _booking(page))
    assert "Booked" in page.said
    session = (await central.call("GET", "/session/1")).data
    assert session["duration"] == 60
    assert session["pin"] in page.lines["104"]
    assert "Example Customer" in page.lines["104"]

    await central.verify("104", session["pin"])
    page = await _open(central)
    assert "plays" in page.lines["104"]
    assert "60 min left" in page.lines["104"]
    assert session["pin"] not in page.lines["104"]

    page = await _done(
        central, "/desk/extend", {**page.form("/desk/extend"), "duration": "15", "amount": "100"}
    )
    assert "75 min left" in page.lines["104"]
    assert (await central.history(1))["paymentPending"] == 100

    move = {**page.form("/desk/move"), "newBay": "201", "adminPassword": "demo-admin", "newDuration": ""}
    page = await _done(central, "/desk/move", move)
    assert "75 min left" in page.lines["201"]
    assert "Example" not in page.lines["104"]

    page = await _done(central, "/desk/end", page.form("/desk/end"))
    assert "Ended" in page.said
    assert (await central.history(1))["releaseTime"] is not None


async def test_a_form_sent_twice_does_it_once(central: Central) -> None:
    page = await _open(central)
    await _done(central, "/desk/book", _booking(page))
    await _done(central, "/desk/book", _booking(page))
    assert len((await central.call("GET", "/session")).data) == 1
    await _done(central, "/desk/book", _booking(await _open(central)))
    assert len((await central.call("GET", "/session")).data) == 2


async def test_the_queue_is_shown_in_order(central: Central) -> None:
    for place, name in enumerate(("First Example", "Second Example")):
        fields = _booking(await _open(central), name=name)
        await _done(central, "/desk/book", {**fields, "phoneNumber": f"155501000{place}"})
    line = (await _open(central)).lines["104"]
    assert re.search(r"First Example.*waits.*Second Example.*in the queue", line, re.DOTALL)


@pytest.mark.parametrize(
    ("changed", "status", "said"),
    [
        ({"duration": "0"}, 400, "duration"),
        ({"duration": "ten"}, 400, "duration"),
        ({"duration": ""}, 400, "duration"),
        ({"phoneNumber": "none"}, 400, "billingUser.phoneNumber"),
        ({"bayNumber": "999"}, 404, "bayNumber"),
        ({"key": "a key with spaces"}, 400, "Idempotency-Key"),
    ],
)
async def test_a_refusal_is_shown_on_the_page(
    central: Central, changed: dict[str, str], status: int, said: str
) -> None:
    answer = await _submit(central, "/desk/book", {**_booking(await _open(central)), **changed})
    assert answer.status == status
    assert said in Page(answer.text).said
    assert (await central.call("GET", "/session")).data == []


async def test_a_move_with_a_wrong_password_is_refused(central: Central) -> None:
    page = await _done(central, "/desk/book", _booking(await _open(central)))
    answer = await _submit(
        central, "/desk/move", {**page.form("/desk/move"), "newBay": "201", "adminPassword": "guess"}
    )
    assert (answer.status, "adminPassword" in Page(answer.text).said) == (422, True)
    assert "Example" in (await _open(central)).lines["104"]


async def test_names_are_text_never_markup(central: Central) -> None:
    await central.book(billingUser={"name": "<script>alert(1)</script>", "phoneNumber": "1555010003"})
    answer = await central.call("GET", "/")
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


async def test_a_form_of_another_site_is_refused(central: Central) -> None:
    fields = _booking(await _open(central))
    answer = await _submit(central, "/desk/book", fields, Origin="https://example.com")
    assert answer.refusal(403)["field"] == "Origin"


async def test_an_unknown_form_does_not_exist(central: Central) -> None:
    assert (await _submit(central, "/desk/sell", {})).status == 404


async def test_a_strict_server_wants_the_staff_to_log_in(launch: Launch) -> None:
    central = await launch(settings=CentralSettings(auth="bearer"))
    page = await _open(central)
    assert [action for action, _ in page.forms] == ["/desk/login"]
    assert not page.lines
    fields: dict[str, Any] = {"phoneNumber": "1555010001", "pin": "guess"}
    assert (await _submit(central, "/desk/login", fields)).status == 401
    assert (await _submit(central, "/desk/book", {})).status == 401
    logged_in = await _submit(central, "/desk/login", {**fields, "pin": "demo"})
    assert logged_in.status == 303
    assert all(flag in logged_in.headers["Set-Cookie"] for flag in ("HttpOnly", "SameSite=Strict"))
    cookie = logged_in.headers["Set-Cookie"].partition(";")[0]
    answer = await central.call("GET", "/", headers={"Cookie": cookie})
    assert len(Page(answer.text).lines) == 42
    # The cookie opens pages only: a call wants the header.
    assert (await central.call("GET", "/session", headers={"Cookie": cookie})).refusal(401)
