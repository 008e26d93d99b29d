"""Secrets: from systemd's credential directory or the environment, never from the configuration files.

A file is called `bayd_NAME` (a directory credential under systemd) or `NAME`; the variable `BAYD_NAME`
outranks it. `api_tokens` holds one token a line: `TOKEN ROLE [NAME]`, the name being a bay's number for
the role screen and a person or tool for staff and technician.
"""

import hmac
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bayd.core.inputs import Actor, Role
from bayd.settings import Complaint

_MIN_TOKEN_CHARS = 16
_SITE_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class ApiToken:
    actor: Actor
    bay: str | None  # the one bay that a screen may touch
    token: str = field(repr=False)

    def matches(self, presented: str) -> bool:
        return hmac.compare_digest(self.token.encode(), presented.encode())


@dataclass(frozen=True, slots=True)
class Credentials:
    site_key: bytes | None = field(default=None, repr=False)
    central_token: str | None = field(default=None, repr=False)
    central_admin_password: str | None = field(default=None, repr=False)
    central_login_pin: str | None = field(default=None, repr=False)
    qod_client_id: str | None = field(default=None, repr=False)
    qod_client_secret: str | None = field(default=None, repr=False)
    qod_private_key: str | None = field(default=None, repr=False)
    api_tokens: tuple[ApiToken, ...] = ()
    complaints: tuple[Complaint, ...] = ()

    def warnings(self) -> list[dict[str, Any]]:
        """For the status."""
        return [
            {
                "code": "credential_refused",
                "since": None,
                "text": f"{complaint}. It is left out; bayd check-config, then start again.",
            }
            for complaint in self.complaints
        ]


CREDENTIAL_NAMES = tuple(name for name in Credentials.__dataclass_fields__ if name != "complaints")


def load_credentials(environment: Mapping[str, str] | None = None) -> Credentials:
    """What is there and usable. `complaints` name what is left out, never showing it."""
    environment = os.environ if environment is None else environment
    complaints: list[Complaint] = []
    found = {name: _find(name, environment, complaints) for name in CREDENTIAL_NAMES}
    return Credentials(
        site_key=_site_key(found["site_key"], complaints),
        central_token=found["central_token"],
        central_admin_password=found["central_admin_password"] or None,
        central_login_pin=found["central_login_pin"],
        qod_client_id=found["qod_client_id"],
        qod_client_secret=found["qod_client_secret"],
        qod_private_key=found["qod_private_key"],
        api_tokens=_api_tokens(found["api_tokens"] or "", complaints),
        complaints=tuple(complaints),
    )


def origin_of(name: str, environment: Mapping[str, str]) -> str | None:
    """Where the credential comes from; None: it is not set. Raises PermissionError: only root may look."""
    variable = f"BAYD_{name.upper()}"
    if variable in environment:
        return variable
    return next((str(file) for file in _files_of(name, environment) if file.exists()), None)


def _files_of(name: str, environment: Mapping[str, str]) -> tuple[Path, ...]:
    directory = environment.get("CREDENTIALS_DIRECTORY")
    return () if directory is None else (Path(directory) / f"bayd_{name}", Path(directory) / name)


def _find(name: str, environment: Mapping[str, str], complaints: list[Complaint]) -> str | None:
    value = environment.get(f"BAYD_{name.upper()}")
    if value is not None:
        return value.strip()
    for file in _files_of(name, environment):
        try:
            return file.read_text().strip()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            complaints.append(_wrong(name, f"cannot be read: {type(error).__name__}"))
            return None
    return None


def _site_key(text: str | None, complaints: list[Complaint]) -> bytes | None:
    if text is None:
        return None
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != _SITE_KEY_BYTES:
        complaints.append(_wrong("site_key", f"must be {_SITE_KEY_BYTES} random bytes in hexadecimal"))
        return None
    return key


def _api_tokens(text: str, complaints: list[Complaint]) -> tuple[ApiToken, ...]:
    tokens: dict[str, ApiToken] = {}
    line_of: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if (problem := _token_problem(words)) is not None:
            complaints.append(_wrong("api_tokens", f"line {number}: {problem}"))
            continue
        token, role, name = words[0], Role(words[1]), words[2] if len(words) > 2 else words[1]
        if line_of.setdefault(token, number) != number:
            # Who presents it would be whoever stands first: so it is nobody's.
            tokens.pop(token, None)
            same = f"line {number}: the same token as on line {line_of[token]}"
            complaints.append(_wrong("api_tokens", same))
            continue
        bay = name if role is Role.SCREEN else None
        tokens[token] = ApiToken(Actor(role, "screen" if bay else name), bay, token)
    return tuple(tokens.values())


def _token_problem(words: Sequence[str]) -> str | None:
    if len(words) not in (2, 3):
        return "`TOKEN ROLE [NAME]` is wanted"
    if words[1] not in (Role.SCREEN, Role.STAFF, Role.TECHNICIAN):
        return "the role is screen, staff or technician"
    if words[1] == Role.SCREEN and len(words) < 3:
        return "a screen's token needs its bay's number"
    if len(words[0]) < _MIN_TOKEN_CHARS:
        return f"a token has {_MIN_TOKEN_CHARS} characters or more"
    return None


def _wrong(name: str, text: str) -> Complaint:
    return Complaint(f"credential {name}", text)
