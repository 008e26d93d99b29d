"""Secrets: from systemd's credential directory or the environment, never from the configuration files.

A file is called `bayd_NAME` (a directory credential under systemd) or `NAME`; the variable `BAYD_NAME`
outranks it. `api_tokens` holds one token a line: `TOKEN ROLE [NAME]`, the name being a bay's number for
the role screen and a person or tool for staff and technician.
"""

import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bayd.core.inputs import Actor, Role
from bayd.settings import Complaint, ConfigurationError

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


def load_credentials(environment: Mapping[str, str] | None = None) -> Credentials:
    """Raises ConfigurationError naming the credential, never showing it."""
    environment = os.environ if environment is None else environment
    found = {
        name: value
        for name in Credentials.__dataclass_fields__
        if (value := _find(name, environment)) is not None
    }
    site_key = found.get("site_key")
    return Credentials(
        site_key=None if site_key is None else _site_key(site_key),
        central_token=found.get("central_token"),
        central_admin_password=found.get("central_admin_password") or None,
        central_login_pin=found.get("central_login_pin"),
        qod_client_id=found.get("qod_client_id"),
        qod_client_secret=found.get("qod_client_secret"),
        qod_private_key=found.get("qod_private_key"),
        api_tokens=_api_tokens(found.get("api_tokens", "")),
    )


def origin_of(name: str, environment: Mapping[str, str]) -> str | None:
    """Where the credential comes from; None: it is not set."""
    variable = f"BAYD_{name.upper()}"
    if variable in environment:
        return variable
    return next((str(file) for file in _files_of(name, environment) if file.exists()), None)


def _files_of(name: str, environment: Mapping[str, str]) -> tuple[Path, ...]:
    directory = environment.get("CREDENTIALS_DIRECTORY")
    return () if directory is None else (Path(directory) / f"bayd_{name}", Path(directory) / name)


def _find(name: str, environment: Mapping[str, str]) -> str | None:
    value = environment.get(f"BAYD_{name.upper()}")
    if value is not None:
        return value.strip()
    for file in _files_of(name, environment):
        try:
            return file.read_text().strip()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise _wrong(name, f"cannot be read: {type(error).__name__}") from None
    return None


def _site_key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != _SITE_KEY_BYTES:
        raise _wrong("site_key", f"must be {_SITE_KEY_BYTES} random bytes in hexadecimal")
    return key


def _api_tokens(text: str) -> tuple[ApiToken, ...]:
    tokens: list[ApiToken] = []
    line_of: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        where = f"line {number}"
        if len(words) not in (2, 3):
            raise _wrong("api_tokens", f"{where}: `TOKEN ROLE [NAME]` is wanted")
        token, role_name, name = words[0], words[1], words[2] if len(words) > 2 else words[1]
        if role_name not in (Role.SCREEN, Role.STAFF, Role.TECHNICIAN):
            raise _wrong("api_tokens", f"{where}: the role is screen, staff or technician")
        if role_name == Role.SCREEN and len(words) < 3:
            raise _wrong("api_tokens", f"{where}: a screen's token needs its bay's number")
        if len(token) < _MIN_TOKEN_CHARS:
            raise _wrong("api_tokens", f"{where}: a token has {_MIN_TOKEN_CHARS} characters or more")
        if line_of.setdefault(token, number) != number:
            # Who presents it would be whoever stands first.
            raise _wrong("api_tokens", f"{where}: the same token as on line {line_of[token]}")
        role = Role(role_name)
        bay = name if role is Role.SCREEN else None
        tokens.append(ApiToken(Actor(role, "screen" if bay else name), bay, token))
    return tuple(tokens)


def _wrong(name: str, text: str) -> ConfigurationError:
    return ConfigurationError((Complaint(f"credential {name}", text),))
