"""Secrets: where they come from, what is refused, and that no message ever shows one."""

from pathlib import Path

import pytest

from bayd.core.inputs import Actor, Role
from bayd.credentials import Credentials, load_credentials
from tests.cli.command import bayd_here

KEY = "5e" * 32
SCREEN = "s" * 16
STAFF = "t" * 24


def refusal(**environment: str) -> str:
    (complaint,) = load_credentials(environment).complaints
    return str(complaint)


def test_nothing_is_needed() -> None:
    assert load_credentials({}) == Credentials()


def test_the_environment_outranks_a_directory_credential_and_that_a_plain_file(tmp_path: Path) -> None:
    (tmp_path / "central_token").write_text("from-the-plain-file\n")
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert load_credentials(environment).central_token == "from-the-plain-file"
    (tmp_path / "bayd_central_token").write_text("from-the-directory-credential\n")
    assert load_credentials(environment).central_token == "from-the-directory-credential"
    environment["BAYD_CENTRAL_TOKEN"] = " from-the-environment "
    assert load_credentials(environment).central_token == "from-the-environment"


def test_each_name_has_its_file(tmp_path: Path) -> None:
    texts = {"site_key": KEY, "api_tokens": f"{STAFF} staff"} | {
        name: f"the {name}" for name in ("qod_client_id", "qod_client_secret", "qod_private_key")
    }
    for name, text in texts.items():
        (tmp_path / f"bayd_{name}").write_text(text)
    found = load_credentials({"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert found.site_key == bytes.fromhex(KEY)
    assert (found.qod_client_id, found.qod_client_secret) == ("the qod_client_id", "the qod_client_secret")
    assert found.qod_private_key == "the qod_private_key"
    assert [token.actor.role for token in found.api_tokens] == [Role.STAFF]


def test_a_directory_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert load_credentials({"CREDENTIALS_DIRECTORY": str(tmp_path / "gone")}) == Credentials()


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "site_key").write_bytes(b"\xff\xfe\x00")
    assert refusal(CREDENTIALS_DIRECTORY=str(tmp_path)) == (
        "credential site_key: cannot be read: UnicodeDecodeError"
    )


def test_a_directory_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "site_key").mkdir()
    assert (
        refusal(CREDENTIALS_DIRECTORY=str(tmp_path))
        == "credential site_key: cannot be read: IsADirectoryError"
    )


@pytest.mark.parametrize("key", ["", "5e" * 31, "5e" * 33, "zz" * 32, "5" * 63])
def test_a_site_key_is_32_bytes_in_hexadecimal(key: str) -> None:
    said = refusal(BAYD_SITE_KEY=key)
    assert said == "credential site_key: must be 32 random bytes in hexadecimal"


# API tokens.


def test_the_roles_and_their_names() -> None:
    text = f"# who may what\n\n{SCREEN} screen 109\n{STAFF} staff anna\n{'u' * 16}\ttechnician\n"
    screen, staff, technician = load_credentials({"BAYD_API_TOKENS": text}).api_tokens
    assert (screen.actor, screen.bay) == (Actor(Role.SCREEN, "screen"), "109")
    assert (staff.actor, staff.bay) == (Actor(Role.STAFF, "anna"), None)
    assert (technician.actor, technician.bay) == (Actor(Role.TECHNICIAN, "technician"), None)


def test_a_token_matches_itself_alone() -> None:
    (token,) = load_credentials({"BAYD_API_TOKENS": f"{STAFF} staff"}).api_tokens
    assert token.matches(STAFF)
    assert not token.matches(STAFF[:-1])
    assert not token.matches("")
    assert not token.matches("ü" * 24)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("fifteen-letters staff", "a token has 16 characters or more"),
        (f"{STAFF} manager", "the role is screen, staff or technician"),
        (f"{STAFF} system", "the role is screen, staff or technician"),
        (f"{STAFF} Staff", "the role is screen, staff or technician"),
        (f"{STAFF} screen", "a screen's token needs its bay's number"),
        (STAFF, "`TOKEN ROLE [NAME]` is wanted"),
        (f"{SCREEN} screen 110", "the same token as on line 2"),
        (f"{STAFF} staff anna lena", "`TOKEN ROLE [NAME]` is wanted"),
    ],
)
def test_a_faulty_line_is_named_by_its_number(line: str, expected: str) -> None:
    said = refusal(BAYD_API_TOKENS=f"# first\n{SCREEN} screen 109\n{line}\n")
    assert said == f"credential api_tokens: line 3: {expected}"


def test_what_is_right_beside_it_holds() -> None:
    text = f"{STAFF} staff anna\nshort staff\n{SCREEN} screen 109\n{SCREEN} staff\n"
    found = load_credentials({"BAYD_API_TOKENS": text, "BAYD_SITE_KEY": "5e"})
    assert [token.actor.name for token in found.api_tokens] == ["anna"], "a token of two is nobody's"
    assert found.site_key is None
    assert [warning["code"] for warning in found.warnings()] == ["credential_refused"] * 3


# Nothing shows a secret.


def test_no_repr_shows_a_secret() -> None:
    secrets = {
        "BAYD_SITE_KEY": KEY,
        "BAYD_CENTRAL_TOKEN": "central-secret",
        "BAYD_QOD_CLIENT_ID": "client-identity",
        "BAYD_QOD_CLIENT_SECRET": "client-secret",
        "BAYD_QOD_PRIVATE_KEY": "private-secret",
        "BAYD_API_TOKENS": f"{STAFF} staff anna",
    }
    shown = repr(load_credentials(secrets))
    hidden = [*secrets.values(), STAFF, str(bytes.fromhex(KEY))]
    assert [secret for secret in hidden if secret in shown] == []
    assert "anna" in shown


def test_check_config_names_a_faulty_credential_and_never_shows_it(tmp_path: Path) -> None:
    config = tmp_path / "bayd.toml"
    config.write_text("[bays.109]\nrfid = false\n")
    secrets = {"BAYD_SITE_KEY": "not-the-right-key", "BAYD_API_TOKENS": f"{STAFF} manager"}
    for name, value in secrets.items():
        ran = bayd_here("check-config", config, env={name: value})
        assert ran.code == 78
        assert ran.err.startswith(f"credential {name.removeprefix('BAYD_').lower()}: ")
        assert value.split()[0] not in ran.err + ran.out
    assert bayd_here("check-config", config, env={"BAYD_SITE_KEY": KEY}).code == 0
