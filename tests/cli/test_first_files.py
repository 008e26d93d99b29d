"""`bayd init` and `bayd config show`: a first configuration that is good, and what holds where."""

import json
import os
import stat
from pathlib import Path

import pytest

from bayd.cli.config import take_service_environment
from bayd.cli.options import CONFIG_DEFAULT
from bayd.devices.serial_ports import SerialPort
from bayd.settings import load
from bayd.tools.effective import effective_credentials
from bayd.tools.first_files import (
    FirstFilesError,
    FirstSite,
    example_file,
    first_configuration,
    write_first_files,
)
from tests.cli.command import bayd_here

SITE = FirstSite("Range", "Asia/Kolkata", "http://127.0.0.1:4000")


def test_what_is_made_is_good_and_its_secrets_are_the_owners_alone(tmp_path: Path) -> None:
    config = tmp_path / "etc/bayd.toml"
    made = bayd_here("init", "--config", config, "--name", 'The "Range" \\ Süd', "--timezone", "Asia/Kolkata")
    assert made.code == 0
    assert bayd_here("check-config", config).code == 0
    site = load(config).settings.site
    assert (site.name, site.timezone) == ('The "Range" \\ Süd', "Asia/Kolkata")
    credentials = config.parent / "credentials"
    assert stat.S_IMODE(credentials.stat().st_mode) == 0o700
    for name in ("site_key", "api_tokens"):
        assert stat.S_IMODE((credentials / name).stat().st_mode) == 0o600
        for secret in (credentials / name).read_text().split():
            assert len(secret) < 40 or secret not in made.out


def test_how_it_goes_on_fits_the_path(tmp_path: Path) -> None:
    config = tmp_path / "bayd.toml"
    said = bayd_here("init", "--config", config).out
    assert f"bayd run --config {config}" in said
    assert f"export CREDENTIALS_DIRECTORY={tmp_path / 'credentials'}\n" in said
    assert "systemctl" not in said


@pytest.mark.parametrize(
    ("arguments", "locale", "currency"),
    [(("--currency", "EUR"), "C.UTF-8", "EUR"), ((), "C.UTF-8", ""), ((), "nobody_HAS.UTF-8", "")],
)
def test_the_currency_is_told_or_the_machines_and_never_made_up(
    tmp_path: Path, arguments: tuple[str, ...], locale: str, currency: str
) -> None:
    config = tmp_path / "bayd.toml"
    made = bayd_here("init", "--config", config, *arguments, env={"LC_ALL": locale})
    assert made.code == 0
    assert load(config).settings.site.currency == currency
    assert "ISO 4217" in config.read_text()


def test_the_example_is_the_checkouts_own() -> None:
    assert example_file() == Path(__file__).parents[2] / "config/bayd.example.toml"


def test_nothing_is_written_over_and_what_is_missing_is_made(tmp_path: Path) -> None:
    config = tmp_path / "bayd.toml"
    write_first_files(config, tmp_path / "credentials", SITE)
    key = (tmp_path / "credentials/site_key").read_text()
    config.write_text("[site]\nname = 'mine'\n")
    (tmp_path / "credentials/api_tokens").unlink()
    again = write_first_files(config, tmp_path / "credentials", SITE)
    assert [each.made for each in again] == [False, False, True]
    assert config.read_text() == "[site]\nname = 'mine'\n"
    assert (tmp_path / "credentials/site_key").read_text() == key


def test_two_sites_have_two_keys(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_first_files(tmp_path / name / "bayd.toml", tmp_path / name / "credentials", SITE)
    keys = {(tmp_path / name / "credentials/site_key").read_text() for name in ("one", "two")}
    assert len(keys) == 2


def test_where_nothing_can_be_written_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FirstFilesError, match="file/etc"):
        write_first_files(tmp_path / "file/etc/bayd.toml", tmp_path / "credentials", SITE)


def test_the_ports_that_were_found_stand_beside_the_readers() -> None:
    site = FirstSite(
        "R", "UTC", "http://127.0.0.1:4000", "", [SerialPort("/dev/ttyUSB0", "/dev/serial/by-id/x", None)]
    )
    text = first_configuration("# A reader, under its id …\n[readers.a]\n", site)
    assert "#   /dev/serial/by-id/x\n# A reader" in text


def test_what_holds_is_shown_with_its_source(tmp_path: Path) -> None:
    config = tmp_path / "bayd.toml"
    config.write_text(
        '[site]\nname = "A"\ntimezone = "UTC"\n'
        '[bays.109]\nrfid = false\n[bays.109.qod]\nphone_number = "1555010001"\n'
    )
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/50-name.toml").write_text('[site]\nname = "B"\n')
    env = {"BAYD_CENTRAL__POLL_S": "7", "BAYD_SITE_KEY": "0" * 64}
    shown = bayd_here("config", "show", "--config", config, "--json", env=env)
    assert shown.code == 0
    document = json.loads(shown.out)
    of = {row["key"]: row for row in document["settings"]}
    assert of["site.name"] == {
        "key": "site.name",
        "value": "B",
        "source": str(tmp_path / "conf.d/50-name.toml"),
    }
    assert of["site.timezone"]["source"] == str(config)
    assert of["central.poll_s"]["value"] == 7
    assert of["central.poll_s"]["source"].startswith("environment")
    assert of["central.settle_s"]["source"] == "default"
    assert of["bays.109.qod.phone_number"]["value"] == "(set, not shown)"
    assert "1555010001" not in shown.out
    assert "0" * 64 not in shown.out
    credentials = {row["name"]: row for row in document["credentials"]}
    assert credentials["site_key"] == {"name": "site_key", "set": True, "source": "BAYD_SITE_KEY"}
    assert credentials["central_token"]["set"] is False


def test_only_what_was_changed_is_shown_on_request(tmp_path: Path) -> None:
    config = tmp_path / "bayd.toml"
    config.write_text('[site]\nname = "A"\n')
    shown = bayd_here("config", "show", "--config", config, "--changed")
    settings = [line for line in shown.out.splitlines() if not line.startswith("credential")]
    assert settings == [f'site.name = "A"  # {config}']


def test_a_wrong_file_is_78_and_named(tmp_path: Path) -> None:
    config = tmp_path / "bayd.toml"
    config.write_text("[site]\nnam = 1\n")
    shown = bayd_here("config", "show", "--config", config)
    assert shown.code == 78
    assert "site.nam" in shown.err


def test_neither_umask_nor_a_cut_leaves_files_that_the_daemon_cannot_use(tmp_path: Path) -> None:
    """An empty key that a cut left is made anew; what the daemon's group reads stays readable."""
    config, credentials = tmp_path / "etc" / "bayd.toml", tmp_path / "etc" / "credentials"
    credentials.mkdir(parents=True)
    (credentials / "site_key").touch()
    before = os.umask(0o077)
    try:
        assert bayd_here("init", "--config", config).code == 0
        other = tmp_path / "new" / "bayd.toml"
        assert bayd_here("init", "--config", other).code == 0
    finally:
        os.umask(before)
    assert len((credentials / "site_key").read_text().strip()) == 64
    modes = [path.stat().st_mode & 0o777 for path in (config, other.parent, credentials / "site_key")]
    assert modes == [0o640, 0o755, 0o600]
    assert not list(credentials.glob(".*"))
    assert bayd_here("check-config", config).code == 0


def test_a_directory_that_only_root_may_see_is_said_so(tmp_path: Path) -> None:
    directory = tmp_path / "credentials"
    directory.mkdir()
    (directory / "site_key").write_text("5e" * 32)
    directory.chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        rows = effective_credentials({"CREDENTIALS_DIRECTORY": str(directory)})
    finally:
        if root:
            os.seteuid(0)
        directory.chmod(0o700)
    assert {row.source.partition(":")[0] for row in rows} == {"not known"}


def test_the_shell_sees_the_environment_of_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "default"
    file.write_text('# settings\nBAYD_SITE__NAME="The range"\nBAYD_PLAY__PIN_TRIES=3\nOTHER=1\n')
    for name in ("BAYD_SITE__NAME", "INVOCATION_ID", "OTHER"):
        monkeypatch.setenv(name, "")  # whatever is set below goes with the test
        monkeypatch.delenv(name)
    monkeypatch.setenv("BAYD_PLAY__PIN_TRIES", "4")
    take_service_environment(tmp_path / "elsewhere.toml", file)
    assert "BAYD_SITE__NAME" not in os.environ, "another configuration is not the service's"
    take_service_environment(CONFIG_DEFAULT, file)
    assert (os.environ["BAYD_SITE__NAME"], os.environ["BAYD_PLAY__PIN_TRIES"]) == ("The range", "4")
    assert "OTHER" not in os.environ
