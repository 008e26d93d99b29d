"""The API description is the truth: generated requests meet no 5xx and no answer that it does not know."""

import asyncio
import json
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode

from bayd.reference.central import CentralSettings, make_app, serve
from bayd.reference.central.openapi import describe
from tests.reference.central.conftest import Central, booking

DOCUMENT: dict[str, Any] = describe(CentralSettings(), with_faults=False)
OPERATIONS = [
    (method.upper(), path)
    for path, operations in DOCUMENT["paths"].items()
    for method in operations
    if path != "/events"  # never ends
]
# What the rules refuse although the form is right: a wrong PIN or password, a bay that is not there.
REFUSED_BY_RULE = ["2xx", "3xx", "401", "404", "409", "422"]


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server in a thread of its own, as its own process would be: the generator here is synchronous."""
    ready = threading.Event()
    running: dict[str, Any] = {}

    async def run() -> None:
        running.update(loop=asyncio.get_running_loop(), task=asyncio.current_task())
        db = tmp_path_factory.mktemp("described") / "central.db"

        def say(url: str) -> None:
            running["url"] = url
            ready.set()

        try:
            await serve(db, 0, on_ready=say)
        except asyncio.CancelledError:
            pass

    thread = threading.Thread(target=asyncio.run, args=(run(),), name="described-server")
    thread.start()
    try:
        assert ready.wait(30)
        for bay in ("101", "102", "103", "101"):
            _post(running["url"], "/session", booking(bay))
        _post(running["url"], "/session/1/end", {})
        yield running["url"]
    finally:
        running["loop"].call_soon_threadsafe(running["task"].cancel)
        thread.join(30)


def _post(url: str, path: str, body: Any) -> None:
    request = urllib.request.Request(
        url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200


@pytest.fixture(scope="module")
def described(base_url: str) -> Any:
    schema = schemathesis.openapi.from_url(f"{base_url}/openapi.json")
    schema.config.checks.positive_data_acceptance.expected_statuses = REFUSED_BY_RULE
    return schema


def _explore(described: Any, base_url: str, method: str, path: str, examples: int) -> int:
    """The number of requests made; raises for any that the description does not cover."""
    operation = described[path][method]
    if path.startswith("/desk/"):
        operation.schema.config.checks.positive_data_acceptance.expected_statuses = [*REFUSED_BY_RULE, "400"]
    made = 0
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        if mode is GenerationMode.NEGATIVE and not (
            operation.body or operation.query or operation.path_parameters
        ):
            continue

        @settings(
            max_examples=examples, derandomize=True, deadline=None, database=None,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy(generation_mode=mode))
        def visit(case: "Case[Any]") -> None:
            nonlocal made
            made += 1
            case.call_and_validate(base_url=base_url, allow_redirects=False, timeout=30)

        visit()
    return made


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_generated_requests_meet_what_is_described(
    described: Any, base_url: str, method: str, path: str
) -> None:
    assert _explore(described, base_url, method, path, examples=4) > 0


@pytest.mark.soak
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_many_generated_requests_meet_what_is_described(
    described: Any, base_url: str, method: str, path: str
) -> None:
    assert _explore(described, base_url, method, path, examples=300) > 0


def test_every_route_is_described_and_every_description_is_a_route(tmp_path: Path) -> None:
    app = make_app(tmp_path / "central.db", faults=True)
    routes = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    paths = describe(CentralSettings(), with_faults=True)["paths"]
    assert routes == {(method.upper(), path) for path, methods in paths.items() for method in methods}
    names = [operation["operationId"] for methods in paths.values() for operation in methods.values()]
    assert len(set(names)) == len(names)


async def test_the_extensions_are_named_as_such(central: Central) -> None:
    paths = (await central.call("GET", "/openapi.json")).document["paths"]
    extensions = {
        path
        for path, methods in paths.items()
        for one in methods.values()
        if one["summary"].startswith("Extension: ")
    }
    assert extensions == {"/bay/state", "/events", "/openapi.json", "/", "/desk/{act}"}
