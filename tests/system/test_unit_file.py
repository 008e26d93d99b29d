"""The unit file, checked by systemd's own tools without starting anything."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

SYSTEMD = Path(__file__).parents[2] / "systemd"
EXPOSURE_TENTHS = 20  # `systemd-analyze security` counts in tenths


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_unit_has_no_error(tmp_path: Path) -> None:
    # The program is not installed here: another one stands in for it.
    program = r"/(opt/bayd/current/bin/bayd|usr/lib/bayd/release)[^\n]*"
    text = re.sub(program, "/bin/true", (SYSTEMD / "bayd.service").read_text())
    unit = tmp_path / "bayd.service"
    unit.write_text(text)
    verified = analyze("verify", "--recursive-errors=yes", str(unit))
    assert verified.returncode == 0, verified.stderr
    assert "bayd.service" not in verified.stderr


def test_the_unit_of_the_screens_has_no_error(tmp_path: Path) -> None:
    text = re.sub(r"/usr/bin/cage", "/bin/true", (SYSTEMD / "bayd-kiosk@.service").read_text())
    unit = tmp_path / "bayd-kiosk@109.service"
    unit.write_text(text)
    verified = analyze("verify", "--recursive-errors=yes", str(unit))
    assert verified.returncode == 0, verified.stderr
    assert "bayd-kiosk" not in verified.stderr


def test_a_wrong_unit_would_be_noticed(tmp_path: Path) -> None:
    unit = tmp_path / "bayd.service"
    unit.write_text((SYSTEMD / "bayd.service").read_text().replace("Restart=always", "Restart=sometimes"))
    assert analyze("verify", "--recursive-errors=yes", str(unit)).returncode != 0


def test_the_service_is_exposed_to_little(tmp_path: Path) -> None:
    unit = shutil.copy(SYSTEMD / "bayd.service", tmp_path)
    checked = analyze("security", "--offline=true", f"--threshold={EXPOSURE_TENTHS}", str(unit))
    assert checked.returncode == 0, checked.stdout.splitlines()[-1]


def test_the_user_and_the_rules_parse() -> None:
    users = subprocess.run(
        ["systemd-sysusers", "--dry-run", str(SYSTEMD / "bayd.sysusers")],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert users.returncode == 0, users.stderr
    for line in (SYSTEMD / "70-bayd.rules").read_text().splitlines():
        assert not line or line.startswith("#") or re.match(r'ACTION[!=]="\w+", ', line), line


def test_the_conffile_is_the_same_in_every_release() -> None:
    """One that changes makes dpkg ask where somebody edited it: unattended upgrades stop there."""
    assert (SYSTEMD / "deb/default").read_text() == (
        "# Environment of bayd: /usr/share/doc/bayd/docs/configuration.md."
        " Everybody may read this file: no secrets here.\n"
    )
    conffiles = re.findall(r"dst: (\S+)\n\s+type: config", (SYSTEMD / "deb/nfpm.yaml").read_text())
    assert conffiles == ["/etc/default/bayd"]
