"""Takes people out of a text that an operator wrote, before it may stand in an error.

Gateways like to echo what they refuse ("+15550100 is not a subscriber"). What we sent is replaced exactly,
and whatever looks like a number, an address or a token as well: a call that names only a session id does
not know the phone number behind it. Too much is taken rather than too little; `code` and `status` carry the
meaning.
"""

import re
from collections.abc import Iterable

_GONE = "[redacted]"
_LIMIT_CHARS = 200
_READ_CHARS = 1600
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,79}")
_LOOKS_PERSONAL = re.compile(
    r"""
      [a-z][a-z0-9+.-]*://\S+                        # a URL: its path or query may hold any of the below
    | \b(?:Bearer|Basic)\s+\S+                       # an Authorization header
    | [^\s@"'<>]+@[^\s@"'<>]+                        # a network access identifier
    | (?<![\w:])(?:[0-9A-F]{0,4}:){2,7}[0-9A-F]{0,4}(?:\.\d+){0,3}(?:/\d+)?  # IPv6
    | \b\d{1,3}(?:\.\d{1,3}){3}\b(?:/\d+)?           # IPv4
    | (?=[\w+/=.-]*\d)[\w+/=.-]{20,}                 # a token, a signature, an identifier
    | \+?\d(?:[\s().-]{0,2}\d){4,}                   # a phone number has 5 to 15 digits
    """,
    re.VERBOSE | re.IGNORECASE,
)


def redact(text: str, sent: Iterable[str] = ()) -> str:
    """`text` on one line, without what we sent and what looks like a person's data; cut to 200 characters."""
    # First what hides a number from the patterns: line breaks, zero-width characters.
    whole = "".join(character if character.isprintable() else " " * character.isspace() for character in text)
    text = " ".join(whole[:_READ_CHARS].split())
    if len(whole) > _READ_CHARS:
        text = text.rpartition(" ")[0]  # half a number would not look like one
    for value in sorted((value for value in sent if len(value) > 2), key=len, reverse=True):
        text = re.sub(re.escape(value), _GONE, text, flags=re.IGNORECASE)
    text = _LOOKS_PERSONAL.sub(_GONE, text)
    return text if len(text) <= _LIMIT_CHARS else f"{text[:_LIMIT_CHARS]}…"


def find_code(value: object, sent: Iterable[str] = ()) -> str | None:
    """`value` if it is a plain error code as CONFLICT or GENERAL_1004, and nothing that a person could be
    in.
    """
    if not isinstance(value, str) or not _CODE.fullmatch(value):
        return None
    return value if redact(value, sent) == value else None
