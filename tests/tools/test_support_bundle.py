"""What goes to a distant helper: a day's log and status, and nobody's name or words."""

import os
import tarfile
from pathlib import Path

import pytest

from bayd.core.inputs import Actor, Role
from bayd.tools.support_bundle import write_bundle
from tests.cli.daemon import configuration
from tests.free_ports import free_port
from tests.let_out import keep_secret
from tests.web.house import PLAYER, STAFF, TECHNICIAN, House
from tests.web.test_pairing import paired, screens

PIN, WRONG = "480275", "913640"
WORDS = "Mr Example broke it"


async def a_busy_day(house: House) -> None:
    """Whoever can be named, and wherever somebody can write something."""
    await house.accounts.put("asha", Role.STAFF, PIN, Actor(Role.STAFF, "local:rootina"))
    for pin in (WRONG, PIN):
        await house.ask("POST", "/api/v1/login", body={"name": "asha", "pin": pin})
    await paired(house)
    ((_, screen),) = await screens(house)
    said = {"reason": WORDS}
    unbound = await house.ask(
        "POST", "/api/v1/screens/unbind", token=STAFF, body={"id": screen, "reason": WORDS}
    )
    assert unbound.status == 200
    await house.play()
    assert (await house.press("extend", {"minutes": 30})).status == 200
    assert (await house.press("extend/decline", said, token=STAFF)).status == 200
    assert (await house.press("pause", said, token=STAFF)).status == 200
    assert (await house.press("hold", said, token=STAFF, bay="110")).status == 200
    body = {"power_dbm": 20, "ports": [1]}
    power = await house.ask("PUT", "/api/v1/devices/readers/east/power", token=TECHNICIAN, body=body)
    assert power.status == 200
    step = {"name": "antenna", "outcome": "pass", "text": "heard"}
    path = "/api/v1/bays/109/commission/aaaaaaaa"
    assert (await house.ask("PUT", path, token=TECHNICIAN, body={"steps": [step]})).status == 200
    await house.told()


async def test_a_bundle_of_a_busy_day_names_nobody_and_quotes_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_secret(PIN, WRONG)
    (tmp_path / "state").mkdir()
    config = configuration(tmp_path, free_port())
    log = tmp_path / "log"
    tool = tmp_path / "bin" / "journalctl"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\ncat {log}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    out = tmp_path / "dump.tar.gz"
    async with House(tmp_path / "state/journal.db").open() as house:
        await a_busy_day(house)
        log.write_text("".join(f"{level} {event} {dict(facts)}\n" for level, event, facts in house.log.lines))
        problems = await write_bundle(out, config, house.url(""), 1_000, 0.0, {})
    assert set(problems.values()) == {""}
    with tarfile.open(out) as archive:
        texts = {
            member.name.removeprefix("bayd-dump/"): file.read().decode()
            for member in archive.getmembers()
            if (file := archive.extractfile(member)) is not None
        }
    assert "staff_signed_in" in texts["log.txt"]
    assert "screen_unbound" in texts["log.txt"]
    for name, text in texts.items():
        for told in (WORDS, "asha", "anna", "rootina", PLAYER, "'bo'"):
            assert told not in text, (name, told)
