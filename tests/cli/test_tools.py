"""The small commands: version, schema, reference services, usage errors."""

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import bayd as package
from tests.cli.command import bayd, bayd_here
from tests.cli.daemon import started


def test_version() -> None:
    assert bayd_here("version").out == f"{package.__version__}\n"
    assert json.loads(bayd_here("version", "--json").out) == {"version": package.__version__}
    assert bayd("--version").out == f"bayd, version {package.__version__}\n"


def test_the_schema_and_the_reference_page_are_printed() -> None:
    schema = json.loads(bayd_here("config", "schema").out)
    assert "central" in schema["properties"]
    assert schema["additionalProperties"] is False
    page = bayd_here("config", "reference")
    assert (page.code, page.out.splitlines()[0]) == (0, "# Configuration")


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("run", "--nonsense"),
        ("run", "--log-level", "loud"),
        ("status", "--url"),
        ("check-config", "one.toml", "two.toml"),
        ("reference", "central"),
        ("reference", "central", "--db", "c.db", "--port", "70000"),
        ("reference", "qod", "--db", "q.db", "--port", "0", "--dialect", "klingon"),
        ("demo", "--json"),
        ("demo", "--once", "--sabotage", "nonsense"),
        ("sim", "jam"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2_and_starts_nothing(arguments: tuple[str, ...]) -> None:
    ran = bayd_here(*arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert "Error: " in ran.err


def test_every_command_explains_itself() -> None:
    shown = bayd_here("--help")
    assert shown.code == 0
    names = [line.split()[0] for line in shown.out.partition("Commands:\n")[2].splitlines() if line.strip()]
    assert {"run", "check-config", "status", "make-safe", "reference", "demo", "version"} <= set(names)


# Reference services.


@pytest.mark.parametrize(
    ("service", "path", "expected"),
    [
        (("central",), "/bay", 200),
        (("qod",), "/sessions/none", 401),
        (("qod", "--dialect", "camara-1.1"), "/sessions/none", 401),
    ],
)
def test_a_reference_service_says_where_it_listens_and_stops(
    tmp_path: Path, service: tuple[str, ...], path: str, expected: int
) -> None:
    name, *options = service
    with started("reference", name, "--db", tmp_path / "its.db", "--port", "0", *options) as running:
        url = running.wait_for("listening on ").split()[-1]
        try:
            with urllib.request.urlopen(url + path, timeout=30) as answer:
                status = answer.status
        except urllib.error.HTTPError as error:
            status = error.code
            error.close()
        code = running.stop()
    assert (status, code) == (expected, 0)
    assert url.startswith("http://127.0.0.1:")
    assert (tmp_path / "its.db").exists()


@pytest.mark.parametrize("name", ["central", "qod"])
def test_a_reference_service_that_cannot_listen_is_69_and_says_why(tmp_path: Path, name: str) -> None:
    with started("reference", "central", "--db", tmp_path / "first.db", "--port", "0") as first:
        port = first.wait_for("listening on ").rpartition(":")[2].strip()
        ran = bayd("reference", name, "--db", tmp_path / "second.db", "--port", port)
    assert ran.code == 69
    assert port in ran.err
    assert "Traceback" not in ran.err
