"""One headless Chromium for a whole test run; every test gets a profile of its own in it."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EXECUTABLE = "/usr/bin/chromium"
_SAID = "DevTools listening on "
_FLAGS = (
    "--headless",
    "--no-sandbox",  # the tests run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--autoplay-policy=no-user-gesture-required",
    "--renderer-process-limit=1",  # of each profile: pages of one site share it, and what it has compiled
    # The two pages that each window would load for its address bar.
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,WebUIOmniboxFullPopup",
    "--remote-debugging-port=0",
)


@contextmanager
def chromium() -> Iterator[str]:
    """Its DevTools address, by which Playwright finds it."""
    with tempfile.TemporaryDirectory(prefix="bayd-browser-", ignore_cleanup_errors=True) as profile:
        environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        log = Path(profile) / "said.log"
        with log.open("wb") as said:
            process = subprocess.Popen(
                [EXECUTABLE, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
                stdout=subprocess.DEVNULL,
                stderr=said,
                env={**environment, "HOME": profile},
            )
        try:
            yield _address(process, log)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    while True:
        for line in log.read_text(errors="replace").splitlines():
            if line.startswith(_SAID):
                return line.removeprefix(_SAID).strip()
        try:
            code = process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(f"Chromium ended with {code}:\n{log.read_text(errors='replace')}")
