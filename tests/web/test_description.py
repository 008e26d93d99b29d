"""The API description is the truth: every call is in it, and generated requests meet nothing else."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode

from bayd.core import inputs as i
from bayd.web.limits import Rate, RateLimits
from tests.web.house import SCREEN, STAFF, TECHNICIAN, House

_MANY = Rate(1_000_000, 1_000_000)
# What the rules refuse although the form is right: another state of the bay, a wrong PIN, a used key.
REFUSED_BY_RULE = ["2xx", "304", "401", "403", "404", "409", "422", "423"]
# Who asks, in turn: mostly those who may.
WHO = (STAFF, None, STAFF, SCREEN, STAFF, TECHNICIAN)
READER = "/api/v1/devices/readers/{reader}"
WATCH = f"{READER}/watch"
STREAM = "/api/v1/events"  # never ends; its refusals are under test beside it


class _Running:
    """A house in a thread of its own, as its own process would be: the generator here is synchronous."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._over: asyncio.Event
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), name="described-house")
        self.url = ""
        self.errors: list[object] = []

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        house = House(self._path)
        house.limits = RateLimits(_MANY, _MANY, _MANY, _MANY, _MANY, _MANY)
        async with house.open(), asyncio.TaskGroup() as tasks:
            await house.play("109")
            await house.book("110", "8")
            self.url = house.url("")
            self._ready.set()
            stirring = tasks.create_task(self._stir(house), name="stir")
            await self._over.wait()
            stirring.cancel()
            self.errors = [line for line in house.log.lines if line[0] == "error"]

    async def _stir(self, house: House) -> None:
        """Bays do not stay as generated requests leave them."""
        anna = i.Actor(i.Role.STAFF, "anna")
        session = 100
        while True:
            for number in ("109", "110"):
                session += 1
                await house.bays.submit(number, i.Release(anna))
                await house.bays.submit(number, i.ReturnToService(anna))
                await house.book(number, str(session))
                await house.bays.submit(number, i.StartPlay(anna, "x"))
            await asyncio.sleep(0.05)

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(30)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(30)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Running]:
    running = _Running(tmp_path_factory.mktemp("described") / "journal.db")
    running.start()
    try:
        yield running
    finally:
        running.stop()
    assert running.errors == []


@pytest.fixture(scope="module")
def described(running: _Running) -> Any:
    schema = schemathesis.openapi.from_url(f"{running.url}/openapi.json")
    schema.config.checks.positive_data_acceptance.expected_statuses = REFUSED_BY_RULE
    return schema


def _operations() -> list[tuple[str, str]]:
    """Of a house that was never opened: only the table is looked at."""
    from bayd.web.acts import ACTS

    bay = "/api/v1/bays/{bay}"
    acts = [("POST", f"{bay}/{name}") for name in ("pin", "game", *ACTS)]
    pages = (
        "/status",
        "/api/v1/range",
        "/healthz",
        "/readyz",
        "/version",
        "/metrics",
        "/openapi.json",
        "/api/v1/outbox",
        "/api/v1/audit",
        "/api/v1/screens",
        "/api/v1/session",
        "/api/v1/staff",
        STREAM,
        WATCH,
        "/api/v1/devices",
        "/api/v1/devices/figures",
        f"{READER}/identify",
        f"{READER}/power",
        f"{bay}/commission",
        bay,
    )
    screens = [("POST", f"/api/v1/screens/{name}") for name in ("code", "claim", "pair", "unbind")]
    return (
        [("GET", path) for path in pages]
        + acts
        + screens
        + [
            ("POST", "/api/v1/session/end"),
            ("POST", "/api/v1/session/stay"),
            ("POST", "/api/v1/login"),
            ("POST", "/api/v1/staff/add"),
            ("POST", "/api/v1/staff/lock"),
            ("PUT", f"{READER}/power"),
            ("PUT", f"{bay}/commission/{{report}}"),
        ]
    )


def _explore(running: _Running, described: Any, method: str, path: str, examples: int) -> int:
    """The number of requests made; raises for any whose answer the description does not cover."""
    operation = described[path][method]
    made = 0
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        if mode is GenerationMode.NEGATIVE and not operation.body:
            continue

        @settings(
            max_examples=examples, derandomize=True, deadline=None, database=None,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy(generation_mode=mode))
        def visit(case: "Case[Any]") -> None:
            nonlocal made
            made += 1
            if "reader" in case.path_parameters and made % 4:
                case.path_parameters["reader"] = ("east", "north", "east")[made % 4 - 1]
            if "bay" in case.path_parameters and made % 4:
                case.path_parameters["bay"] = ("109", "110", "109")[made % 4 - 1]
            token = WHO[made % len(WHO)]
            case.call_and_validate(
                base_url=running.url,
                headers={} if token is None else {"Authorization": f"Bearer {token}"},
                allow_redirects=False,
                timeout=30,
            )

        visit()
    return made


@pytest.mark.parametrize(
    ("method", "path"), [call for call in _operations() if call[1] not in (STREAM, WATCH)]
)
def test_generated_requests_meet_what_is_described(
    running: _Running, described: Any, method: str, path: str
) -> None:
    assert _explore(running, described, method, path, examples=4) > 0


@pytest.mark.soak
@pytest.mark.parametrize(
    ("method", "path"), [call for call in _operations() if call[1] not in (STREAM, WATCH)]
)
def test_many_generated_requests_meet_what_is_described(
    running: _Running, described: Any, method: str, path: str
) -> None:
    assert _explore(running, described, method, path, examples=150) > 0


async def test_every_call_is_described_and_every_description_is_a_call(house: House) -> None:
    document = (await house.ask("GET", "/openapi.json")).json
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    served = {(route.method, route.path) for route in house.routes if route.described}
    assert described == served == set(_operations())
    operations = [one for methods in document["paths"].values() for one in methods.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)


async def test_the_description_says_what_a_client_needs(house: House) -> None:
    document = (await house.ask("GET", "/openapi.json")).json
    assert document["openapi"].startswith("3.1")
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            responses = operation["responses"]
            assert {"400", "401", "403", "421", "429", "500"} <= set(responses), path
            for status, answer in responses.items():
                if int(status) >= 400 and (path, status) != ("/readyz", "503"):
                    assert list(answer["content"]) == ["application/problem+json"]
            if method != "post" or "/bays/" not in path:
                continue
            (key,) = [p for p in operation["parameters"] if p["name"] == "Idempotency-Key"]
            assert key["required"]
            assert {"200", "404", "408", "409", "413", "415", "422", "503"} <= set(responses)
            assert operation["security"] == [{"token": []}, {"browser": []}]
    pin = document["paths"]["/api/v1/bays/{bay}/pin"]["post"]
    assert "423" in pin["responses"]
    assert "423" not in document["paths"]["/api/v1/bays/{bay}/end"]["post"]["responses"]
    assert document["components"]["schemas"]["PinBody"]["properties"]["pin"]["pattern"] == "^[0-9]{6}$"
    # Nothing points nowhere.
    text = json.dumps(document)
    for name in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in document["components"]["schemas"]
