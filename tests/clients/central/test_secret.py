"""A secret shows itself to `reveal()` and to nobody else."""

import copy
import dataclasses
import json
import pickle
import traceback

import pytest

from bayd.clients.central import Secret
from bayd.clients.central.decoding import decode_session
from bayd.clients.central.reading import ObjectReader

from .peers import PIN, item


def test_no_way_of_printing_shows_it() -> None:
    held = Secret(PIN)
    shown = [repr(held), str(held), f"{held}", f"{held!r:>40}", "%s" % held, repr([held]), repr({held: held})]  # noqa: UP031
    assert not any(PIN in text for text in shown)
    assert held.reveal() == PIN


def test_a_session_never_shows_its_pin_or_its_people() -> None:
    document = item(pin=PIN, billingUser={"id": 1, "name": "Test Person", "phoneNumber": "1555010001"})
    document["sessionUsers"] = [{"id": 2, "user": {"id": 3, "name": "Test Player"}}]
    session = decode_session(ObjectReader(document, "data", []))
    assert session.pin == Secret(PIN)
    assert session.customer_name == "Test Person"
    shown = repr(session) + str(dataclasses.asdict(session)["pin"])
    assert not any(text in shown for text in (PIN, "Test Person", "Test Player", "1555010001"))


def test_it_is_not_serialised() -> None:
    held = Secret(PIN)
    with pytest.raises(TypeError):
        pickle.dumps(held)
    with pytest.raises(TypeError):
        json.dumps(held)
    assert copy.deepcopy(held) == held
    assert copy.copy(held) == held


def test_it_compares_by_value() -> None:
    assert Secret(PIN) == Secret(PIN)
    assert Secret(PIN) != Secret("000000")
    assert Secret(PIN) != PIN
    assert len({Secret(PIN), Secret(PIN)}) == 1
    assert not Secret("")


def test_a_traceback_with_locals_does_not_show_it() -> None:
    def fail(held: Secret) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError) as caught:
        fail(Secret("".join(["24", "6813"])))
    text = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "held = Secret(******)" in text
