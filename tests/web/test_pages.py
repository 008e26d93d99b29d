"""The pages' documents and files: what goes out, under which policy, and which tricks find nothing."""

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest

from bayd.web.pages.files import DIRECTORY, StaticFiles
from bayd.web.pages.markup import el, join
from bayd.web.pages.shell import POLICY
from bayd.web.pages.words import Words
from tests.web.house import STAFF, House

CATALOGUES = sorted((DIRECTORY / "i18n").glob("*.json"))


def test_text_never_becomes_markup() -> None:
    element = el(
        "p", '<script>"x"</script>', el("b", 7), None, title='"><i>', hidden=True, class_="a", id=None
    )
    assert element.text == (
        '<p title="&quot;&gt;&lt;i&gt;" hidden class="a">&lt;script&gt;"x"&lt;/script&gt;<b>7</b></p>'
    )
    assert join([el("br"), "&"]).text == "<br>&amp;"
    for name in ("onclick", "style"):
        with pytest.raises(ValueError, match=name):
            el("p", **{name: "alert(1)"})


async def test_a_page_allows_only_its_own_files(house: House) -> None:
    reply = await house.ask("GET", "/bay/109", described=False)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert reply.headers["Content-Security-Policy"] == POLICY
    assert "unsafe" not in POLICY
    (inline,) = re.findall(r"<script>(.*?)</script>", reply.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}';" in POLICY
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert not re.search(
        r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=",
        reply.text.replace(inline, "", 1).replace("<script></script>", ""),
    )
    named = re.findall(r'(?:src|href)="([^"]+)"', reply.text)
    assert len(named) >= 4
    for address in named:
        file = await house.ask("GET", address, described=False)
        assert file.status == 200, address
        assert "immutable" in file.headers["Cache-Control"]


async def test_a_page_says_nothing_about_the_bay(house: House) -> None:
    before = (await house.ask("GET", "/bay/109", described=False)).text
    await house.play()
    assert (await house.ask("GET", "/bay/109", described=False)).text == before


async def test_a_screen_is_sent_to_its_own_bay(house: House) -> None:
    headers = {"Cookie": await house.let_in(bay="110")}
    for path in ("/bay/109", "/bay/7", "/screen"):
        reply = await house.ask("GET", path, headers=headers, described=False)
        assert (reply.status, reply.headers["Location"]) == (303, "/bay/110")
    assert (await house.ask("GET", "/bay/110", headers=headers, described=False)).status == 200
    missing = await house.ask("GET", "/bay/7", described=False)
    assert (missing.status, missing.headers["Content-Type"]) == (404, "text/html; charset=utf-8")


TRICKS = [
    "../../access.py",
    "..%2f..%2faccess.py",
    "%2e%2e/%2e%2e/access.py",
    "bay/../../../access.py",
    "bay/",
    "",
    "/etc/passwd",
    "//etc/passwd",
    "fonts",
    "base.css%00.js",
    "base.css/",
    "BASE.CSS",
    "fonts\\..\\base.css",
]


@pytest.mark.parametrize("trick", TRICKS)
async def test_paths_find_what_is_there_and_nothing_else(house: House, trick: str) -> None:
    from yarl import URL

    tag = StaticFiles().tag
    good = await house.ask("GET", f"/static/{tag}/base.css", described=False)
    assert good.status == 200
    url = URL(house.url(f"/static/{tag}/{trick}"), encoded=True)
    async with house.http.get(url, allow_redirects=False) as answer:
        assert answer.status == 404
        assert "import" not in await answer.text()


async def test_files_of_another_release_are_not_mixed_in(house: House) -> None:
    reply = await house.ask("GET", "/static/000000000000/base.css", described=False)
    assert reply.status == 404


def test_the_name_of_the_files_changes_with_them(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("p {}")
    first = StaticFiles(tmp_path)
    assert first.url("a.css") == f"/static/{first.tag}/a.css"
    assert StaticFiles(tmp_path).tag == first.tag
    (tmp_path / "a.css").write_text("p { }")
    assert StaticFiles(tmp_path).tag != first.tag
    with pytest.raises(LookupError, match=r"b\.css"):
        first.url("b.css")


@pytest.mark.parametrize("name", ["token", "access_token", "Pin", "code"])
async def test_a_secret_in_a_url_is_refused(house: House, name: str) -> None:
    for path in ("/bay/109", "/status", "/api/v1/bays/109", "/static/x/base.css"):
        reply = await house.ask("GET", f"{path}?{name}={STAFF}", token=STAFF, described=False)
        assert (reply.status, reply.code) == (400, "secret_in_url")
        assert STAFF not in reply.text
    assert STAFF not in str(house.log.lines)


def _page_of(path: Path) -> str:
    return path.name.partition(".")[0]


@pytest.mark.parametrize("page", sorted({_page_of(path) for path in CATALOGUES}))
def test_every_language_says_the_same(page: str) -> None:
    texts = {path.name: json.loads(path.read_text()) for path in CATALOGUES if _page_of(path) == page}
    assert {name.split(".")[1] for name in texts} == {"en", "hi"}
    english = texts[f"{page}.en.json"]
    for name, catalogue in texts.items():
        assert catalogue.keys() == english.keys(), name
        for key, text in catalogue.items():
            assert text.strip() == text != "", f"{name}: {key}"
            places = set(re.findall(r"\{\w+\}", text))
            # The daemon's own words in English, by code and facts in others; see test_words.
            if not key.startswith(("refusal.", "warning.")):
                assert places == set(re.findall(r"\{\w+\}", english[key])), f"{name}: {key}"


def test_scripts_write_no_markup() -> None:
    for script in DIRECTORY.rglob("*.js"):
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script.read_text()
        )


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (600, "INR", "₹600"),
        (1200, "INR", "₹1,200"),
        (123456, "INR", "₹1,23,456"),
        (-12345678, "USD", "-$1,23,45,678"),
        (600, "AED", "AED\u00a0600"),
        (0, "", "0"),
    ],
)
def test_prices_are_written_as_the_scripts_write_them(amount: int, currency: str, text: str) -> None:
    """By Chromium's `Intl.NumberFormat` for en-IN and hi-IN."""
    for language in ("en", "hi"):
        assert Words("board", language).price(amount, currency) == text


def test_numbers_are_written_as_the_scripts_write_them() -> None:
    said = Words("board", "hi").warning("retired_bay_due", "", {"amount": 120_300, "session": "7001"})
    assert "1,20,300" in said
    assert "7001" in said


async def test_a_bay_that_is_not_there_is_told_in_the_language_of_the_site(house: House) -> None:
    reply = await house.ask("GET", "/bay/999", described=False)
    assert reply.status == 404
    assert "There is no such bay here" in reply.text
