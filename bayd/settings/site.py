"""The site, its local HTTP service, and where the truth lies."""

import zoneinfo
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from bayd.settings.tables import Seconds, Table


def _known_timezone(name: str) -> str:
    # A machine without a time zone database cannot tell: then nothing is refused.
    known = zoneinfo.available_timezones()
    if known and name not in known:
        raise ValueError(f"there is no time zone {name!r}; write an IANA name such as Asia/Kolkata")
    return name


OFF = "none"
_SOCKET_PATH_BYTES = 107  # sun_path holds 108 with its end (unix(7))


def _socket_path(path: str) -> str:
    if path != OFF and not path.startswith("/"):
        raise ValueError(f'write an absolute path, or "{OFF}"')
    if len(path.encode()) > _SOCKET_PATH_BYTES:
        raise ValueError(f"a socket's path has up to {_SOCKET_PATH_BYTES} bytes")
    return path


class Site(Table):
    """The range as people know it."""

    name: str = Field("Golf range", description="Shown on the pages.")
    timezone: Annotated[str, AfterValidator(_known_timezone)] = Field(
        "UTC",
        description="IANA name, for times shown to people. Play itself never looks at the wall clock.",
    )
    currency: str = Field(
        "",
        description="For display only: amounts are whole numbers in the central server's own unit, passed "
        "through unchanged.",
    )

    @property
    def zone(self) -> ZoneInfo | None:
        """None: this machine has no time zones, and so nobody knows the site's time of day."""
        try:
            return ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            return None

    @property
    def zone_for_people(self) -> tzinfo:
        """To show times and to count days by; UTC where the site's own is not known."""
        return self.zone or UTC


class Http(Table):
    """The local HTTP service: screens, staff, status."""

    listen: tuple[str, ...] = Field(
        ("127.0.0.1:8470",),
        description="Addresses, `host:port`. Beyond loopback only behind a TLS proxy, or see "
        "`allow_plain_http`.",
    )
    allow_plain_http: Literal["no", "trusted-lan"] = Field(
        "no",
        description="`trusted-lan` allows addresses beyond loopback without TLS: PINs and tokens then cross "
        "that network in clear.",
    )
    socket: Annotated[str, AfterValidator(_socket_path)] | None = Field(
        None,
        description="The tools' way in on this machine, a unix socket of mode 0660 for root and the daemon's "
        "group: an absolute path, or `none`. Without it: `bayd.sock` in systemd's runtime directory "
        "(`/run/bayd`), or in `state.dir` where there is none.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        ("localhost", "127.0.0.1", "::1"),
        description="Host names that requests and pages may come under; others are refused, so that a "
        "foreign page in a kiosk browser reaches nothing (DNS rebinding). Add the name that screens use.",
    )


class State(Table):
    """Where the truth lies."""

    dir: Path = Field(
        Path("/var/lib/bayd"),
        description="Directory of the journal (`journal.db` and its companions); made if missing. A local "
        "disk: SQLite's locks do not hold on network file systems. Under systemd another directory than the "
        "default has to be the user `bayd`'s, and `ReadWritePaths=` of the unit has to name it.",
    )
    journal_stall_s: Seconds = Field(
        300,
        description="A disk that hangs for longer makes systemd start the daemon anew (if its unit has a "
        "watchdog); bays end on time all the while.",
    )
    commit_timeout_s: Seconds = Field(
        5,
        description="A request that is not on the disk by then is answered 503 and never acted on, even if "
        "the disk wakes up later.",
    )
