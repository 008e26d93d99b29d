"""An upgrade that is cut off at each of its steps: what a release wrote after its first act is never undone.

The script of the package runs as it is, on directories of the test; the commands that it calls are counted,
and one of them is where the power fails or the process dies. The releases are small ones of the test: a
journal is a file of lines, the first of which is its schema. `take_over` is the daemon's own.
"""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bayd.runtime.upgrade import ask_next, find_next, forget_copies, is_on_trial, take_over

SCRIPT = Path(__file__).parents[2] / "systemd/deb/release"
OLD, NEW = "1", "2"  # also the schemas that they know
COUNTED = ("cp", "ln", "mv", "rm", "touch")
NEVER = 10_000

# In front of the script: each of those commands is a step, and before one of them it dies.
COUNT = """
trap 'echo $step >"$COUNTER"' EXIT
step() {
    step=$((step + 1))
    if [ $step = "$CUT" ]; then echo $step >"$COUNTER"; kill -KILL $$; fi
}
systemd_run() { echo "$@" >"$HOME/asked"; }
"""
# What the script asks of a release: `bayd upgrade keep VERSION …`, `bayd upgrade undo FILE …`.
BAYD = """#!/bin/sh
copy=$(dirname {journal})/on-trial-of-$3.db
case $2 in
keep)
    rm -f "$(dirname {journal})"/on-trial-of-*
    if [ -e {journal} ]; then /bin/cp {journal} "$copy"; else : >"$copy"; fi
    echo "$copy"
    ;;
undo)
    if cmp -s "$3" {journal}; then exec rm "$3"; fi
    if [ -s "$3" ]; then exec /bin/mv "$3" {journal}; fi
    rm -f {journal} "$3"
    ;;
esac
"""


class DiedError(Exception):
    """The process, or with it the machine."""


@dataclass
class Pc:
    """`/opt/bayd`, `/run/bayd` and `/var/lib/bayd` of a PC."""

    home: Path
    broken: frozenset[str] = frozenset()  # releases that end before they are ready
    acknowledged: list[str] = field(default_factory=list)
    cut: int = NEVER  # the step at which it dies
    steps: int = 0

    def __post_init__(self) -> None:
        for name in ("opt", "run", "state"):
            (self.home / name).mkdir(parents=True)
        text = SCRIPT.read_text()
        for name, path in (("root", "opt"), ("run", "run")):
            text, found = re.subn(rf"(?m)^{name}=/.*$", f"{name}={self.home / path}", text)
            assert found == 1
        counted = "".join(
            f"{name}() {{ step; {instead}; }}\n"
            for name, instead in {
                **{name: f'command {name} "$@"' for name in COUNTED},
                "runuser": 'shift 3; "$@"',
                "sync": ":",  # of whatever else this machine has to write
            }.items()
        )
        text, found = re.subn(r"systemd-run ", "systemd_run ", text)
        assert found == 1
        (self.home / "release").write_text(COUNT + counted + text)
        for release in (OLD, NEW):
            (self.opt / release / "bin").mkdir(parents=True)
            self._write(self.opt / release / "bin/bayd", BAYD.format(journal=self.journal))

    @staticmethod
    def _write(path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

    @property
    def opt(self) -> Path:
        return self.home / "opt"

    @property
    def state(self) -> Path:
        return self.home / "state"

    @property
    def journal(self) -> Path:
        return self.state / "journal.db"

    def link(self, name: str) -> str:
        path = self.opt / name
        return str(path.readlink()) if path.is_symlink() else ""

    def script(self, act: str, env: Mapping[str, str] | None = None) -> None:
        """Raises DiedError."""
        counter = self.home / "steps"
        done = subprocess.run(
            ["/bin/sh", self.home / "release", act],
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), "COUNTER": str(counter),
                 "CUT": str(self.cut),
                 "step": str(self.steps), **(env or {})},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.steps = int(counter.read_text())
        if self.steps >= self.cut:
            self.cut = NEVER
            raise DiedError
        assert done.returncode == 0, done.stderr

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.cut:
            self.cut = NEVER
            raise DiedError

    def daemon(self) -> str:
        """From ExecStart to READY and a first act; the release. Raises DiedError, as a broken one does."""
        release = self.link("current")
        self.step()
        lines = self.journal.read_text().splitlines() if self.journal.exists() else [release]
        if int(lines[0]) > int(release):
            raise DiedError  # the journal was written by a newer bayd
        lines[0] = release
        lines.append(f"restarted as {release}")
        self.journal.write_text("\n".join(lines) + "\n")
        self.step()
        if release in self.broken:
            raise DiedError
        take_over(self.state)
        self.step()
        with self.journal.open("a") as journal:
            event = f"money {len(self.acknowledged)}"
            journal.write(f"{event}\n")
        self.acknowledged.append(event)
        self.step()
        return release

    def start(self, *, power_cut: bool) -> str:
        """One start as systemd makes it; the release that is ready. Raises DiedError."""
        try:
            self.script("prepare")
            release = self.daemon()
            self.script("settle")
        except DiedError:
            if not power_cut:
                self.script("fall-back", {"SERVICE_RESULT": "signal"})
            raise
        return release

    def until_ready(self, *, power_cut: bool) -> str:
        for _ in range(5):
            try:
                return self.start(power_cut=power_cut)
            except DiedError:
                power_cut = False
        pytest.fail(f"nothing starts any more: current is {self.link('current')}")


def upgraded(home: Path, cut: int, *, power_cut: bool, broken: bool = False, journal: bool = True) -> Pc:
    """The old release was there, the new one is offered, the next start dies at a step; and what follows."""
    pc = Pc(home, frozenset({NEW} if broken else ()))
    (pc.opt / "current").symlink_to(OLD)
    if journal:
        pc.daemon()
    (pc.opt / "next").symlink_to(NEW)
    pc.steps, pc.cut = 0, cut
    before = list(pc.acknowledged)
    release = pc.until_ready(power_cut=power_cut)
    written = pc.journal.read_text().splitlines()
    # What was acknowledged is there, once, whoever acknowledged it.
    assert [line for line in written if line.startswith("money")] == pc.acknowledged
    assert len(pc.acknowledged) > len(before)
    # Who runs can read the journal, and is the one that may run.
    assert written[0] == release == pc.link("current")
    assert release == (OLD if broken else release)
    # Nothing is left that a later crash could go back to.
    assert not pc.link("previous")
    assert not pc.link("trial")
    assert not is_on_trial(pc.state)
    return pc


@pytest.mark.parametrize("every", [6, pytest.param(1, marks=pytest.mark.soak)], ids="every-{}".format)
@pytest.mark.parametrize("power_cut", [False, True], ids=["killed", "power-cut"])
@pytest.mark.parametrize("broken", [False, True], ids=["good", "broken"])
def test_cut_off_at_any_step_nothing_that_was_acknowledged_is_lost(
    tmp_path: Path, power_cut: bool, broken: bool, every: int
) -> None:
    steps = upgraded(tmp_path / "whole", NEVER, power_cut=False, broken=broken).steps
    assert steps >= 15
    for cut in range(1, steps + 1, every):
        pc = upgraded(tmp_path / str(cut), cut, power_cut=power_cut, broken=broken)
        # A kill between the first act and ExecStartPost is no reason to go back.
        if len(pc.acknowledged) > 2:
            assert pc.link("current") == (OLD if broken else NEW)


def test_killed_between_its_first_act_and_the_end_of_the_start_it_stays(tmp_path: Path) -> None:
    """READY is told, ExecStartPost has not run: what was acknowledged meanwhile must not be undone."""
    pc = Pc(tmp_path)
    (pc.opt / "current").symlink_to(OLD)
    pc.daemon()
    (pc.opt / "next").symlink_to(NEW)
    pc.script("prepare")
    assert pc.daemon() == NEW
    pc.script("fall-back", {"SERVICE_RESULT": "signal"})
    assert pc.link("current") == NEW
    assert pc.journal.read_text().splitlines()[-1] == pc.acknowledged[-1] == "money 1"
    assert pc.until_ready(power_cut=False) == NEW


def test_once_it_has_acted_a_release_stays_and_the_copy_is_a_persons(tmp_path: Path) -> None:
    pc = upgraded(tmp_path, NEVER, power_cut=False)
    assert pc.link("current") == NEW
    assert (pc.state / "journal-of-1.db").read_text().splitlines() == ["1", "restarted as 1", "money 0"]
    assert not (pc.opt / OLD).exists()


@pytest.mark.parametrize("broken", [False, True], ids=["good", "broken"])
def test_without_a_journal_there_is_a_way_back_as_well(tmp_path: Path, broken: bool) -> None:
    """Installed, upgraded, and only then configured: the journal of the new schema is not left in the way."""
    pc = upgraded(tmp_path, NEVER, power_cut=False, broken=broken, journal=False)
    assert pc.link("current") == (OLD if broken else NEW)
    assert {path.name for path in pc.state.iterdir()} == {"journal.db"}


def test_a_third_release_goes_back_past_the_one_that_never_acted(tmp_path: Path) -> None:
    pc = Pc(tmp_path, frozenset({NEW, "3"}))
    (pc.opt / "3/bin").mkdir(parents=True)
    pc._write(pc.opt / "3/bin/bayd", BAYD.format(journal=pc.journal))
    (pc.opt / "current").symlink_to(OLD)
    pc.daemon()
    (pc.opt / "next").symlink_to(NEW)
    pc.script("prepare")
    with pytest.raises(DiedError):
        pc.daemon()
    (pc.opt / "next").symlink_to("3")  # before the end of the second was seen, as by a power cut
    assert pc.until_ready(power_cut=False) == OLD
    assert pc.journal.read_text().splitlines()[:3] == ["1", "restarted as 1", "money 0"]


def on_trial(home: Path) -> Pc:
    """The new release has taken the old one's place, and not acted yet."""
    pc = Pc(home, frozenset({NEW}))
    (pc.opt / "current").symlink_to(OLD)
    pc.daemon()
    (pc.opt / "next").symlink_to(NEW)
    pc.script("prepare")
    with pytest.raises(DiedError):
        pc.daemon()
    return pc


def test_the_way_back_itself_touches_no_journal_and_runs_no_release(tmp_path: Path) -> None:
    """Systemd ends it after a few seconds: links are turned, a start is asked for."""
    pc = on_trial(tmp_path)
    for release in (OLD, NEW):
        (pc.opt / release / "bin/bayd").rename(pc.opt / release / "bin/away")
    migrated = pc.journal.read_text()
    pc.script("fall-back", {"SERVICE_RESULT": "exit-code"})
    assert (pc.link("current"), pc.link("failed"), pc.link("previous")) == (OLD, NEW, "")
    assert (
        tmp_path / "asked"
    ).read_text() == "--quiet --collect --on-active=1 systemctl start bayd.service\n"
    assert pc.journal.read_text() == migrated
    (pc.opt / OLD / "bin/away").rename(pc.opt / OLD / "bin/bayd")
    assert pc.until_ready(power_cut=False) == OLD
    assert pc.journal.read_text().splitlines()[:3] == ["1", "restarted as 1", "money 0"]


def test_an_old_release_that_does_not_run_any_more_is_replaced(tmp_path: Path) -> None:
    pc = Pc(tmp_path)
    (pc.opt / "current").symlink_to(OLD)
    pc.daemon()
    (pc.opt / OLD / "bin/bayd").unlink()
    (pc.opt / "next").symlink_to(NEW)
    assert pc.until_ready(power_cut=False) == NEW
    assert (pc.state / "journal-of-1.db").exists()


def test_a_release_that_cannot_be_copied_for_waits_and_says_so(tmp_path: Path) -> None:
    pc = Pc(tmp_path)
    (pc.opt / "current").symlink_to(OLD)
    pc.daemon()
    (pc.opt / "next").symlink_to(NEW)
    for release in (OLD, NEW):
        pc._write(pc.opt / release / "bin/bayd", "#!/bin/sh\necho 'the disk is full' >&2; exit 1\n")
    (tmp_path / "run/restart-wanted").touch()
    assert pc.until_ready(power_cut=False) == OLD
    assert f"Release {NEW} waits" in (tmp_path / "run/upgrade-failed").read_text()
    assert not (tmp_path / "run/restart-wanted").exists()  # or it would restart at every idle moment
    assert not pc.link("previous")
    pc._write(pc.opt / OLD / "bin/bayd", BAYD.format(journal=pc.journal))
    assert pc.until_ready(power_cut=False) == NEW
    assert not (tmp_path / "run/upgrade-failed").exists()


def test_a_release_that_came_while_the_old_one_was_starting_is_not_forgotten(tmp_path: Path) -> None:
    pc = Pc(tmp_path)
    (pc.opt / "current").symlink_to(OLD)
    pc.script("prepare")
    (pc.opt / "next").symlink_to(NEW)
    pc.script("settle")
    assert (tmp_path / "run/restart-wanted").read_text() == f"release {NEW}\n"


def test_where_nothing_is_on_trial_nothing_is_taken_over(tmp_path: Path) -> None:
    assert take_over(tmp_path) is False
    assert take_over(tmp_path / "absent") is False


def test_the_newest_copies_stay_and_no_name_stays_for_longer_than_a_month(tmp_path: Path) -> None:
    for age, name in enumerate(("0.3.0", "0.2.0", "0.1.0")):
        copy = tmp_path / f"on-trial-of-{name}.db"
        copy.write_text("a copy")
        os.utime(copy, (1e9 - age, 1e9 - age))
        take_over(tmp_path)
    aside = tmp_path / "journal.db.before-restore-20010909T014640Z"
    aside.touch()
    os.utime(aside, (1e9, 1e9))
    (tmp_path / "journal.db").touch()
    names = {"journal-of-0.2.0.db", "journal-of-0.3.0.db", aside.name, "journal.db"}
    assert {path.name for path in tmp_path.iterdir()} == names
    day_s = 86_400
    assert forget_copies(tmp_path, "journal.db", round((1e9 + 30 * day_s - 0.5) * 1000)) == 1
    assert forget_copies(tmp_path, "journal.db", round((1e9 + 30 * day_s + 1) * 1000)) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"journal.db"}


def test_the_next_release_is_found_beside_this_one(tmp_path: Path) -> None:
    package = tmp_path / "0.1.0/lib/bayd"
    package.mkdir(parents=True)
    command = tmp_path / "0.2.0/bin/bayd"
    command.parent.mkdir(parents=True)
    command.touch(mode=0o755)
    assert find_next(package) is None
    (tmp_path / "next").symlink_to("0.1.0")
    assert find_next(package) is None
    (tmp_path / "next").unlink()
    (tmp_path / "next").symlink_to("0.2.0")
    assert find_next(package) == tmp_path / "next/bin/bayd"
    assert find_next(tmp_path / "0.1.0/bayd") is None


@pytest.mark.parametrize(
    ("script", "obstacle"),
    [
        ("echo []", None),
        (
            """echo '[{"path": "site.colour", "text": "is no setting"}]'; exit 78""",
            "site.colour: is no setting",
        ),
        ("echo 'Traceback'; exit 1", "{command} check-config ends with 1"),
    ],
)
async def test_the_next_release_judges_the_configuration(
    tmp_path: Path, script: str, obstacle: str | None
) -> None:
    command = tmp_path / "bayd"
    command.write_text(
        f'#!/bin/sh\n[ "$*" = "check-config --json --for-start {tmp_path}/bayd.toml" ] || exit 2\n{script}\n'
    )
    command.chmod(0o755)
    said = await ask_next(command, tmp_path / "bayd.toml", {"PATH": os.environ["PATH"]})
    assert said == (None if obstacle is None else obstacle.format(command=command))
    command.unlink()
    assert "No such file" in (await ask_next(command, tmp_path / "bayd.toml", {}) or "")


@pytest.mark.parametrize(
    ("script", "obstacle"),
    [
        ("echo []", None),
        (
            """echo '[{"path": "site.colour", "text": "is no setting"}]'; exit 78""",
            "site.colour: is no setting",
        ),
        # It knows the option as little the second time.
        ("exit 2", "{command} check-config ends with 2"),
    ],
)
async def test_an_older_release_is_asked_as_it_knows_it(
    tmp_path: Path, script: str, obstacle: str | None
) -> None:
    """A stand-in for one whose check-config has no --for-start: that is wrong usage, as of any command."""
    command = tmp_path / "bayd"
    command.write_text(
        f"""#!/bin/sh
echo "$*" >>"{tmp_path}/asked"
for word in "$@"; do
    [ "$word" != --for-start ] || {{ echo 'Error: No such option: --for-start' >&2; exit 2; }}
done
{script}
"""
    )
    command.chmod(0o755)
    said = await ask_next(command, tmp_path / "bayd.toml", {"PATH": os.environ["PATH"]})
    assert said == (None if obstacle is None else obstacle.format(command=command))
    assert (tmp_path / "asked").read_text().splitlines() == [
        f"check-config --json --for-start {tmp_path}/bayd.toml",
        f"check-config --json {tmp_path}/bayd.toml",
    ]
