"""A tolerant reader of JSON objects: types wander, keys are misspelt, fields are new or gone.

`get_x` raises `FieldFault` with the path of a field that is needed and missing or wrong. `find_x` gives
None, and notes the path when the field was there and could not be read: an odd optional field never
costs the object. A text is never repeated in a fault or a note: it may be a PIN.

Two spellings of one field may be given; the first that is present counts.
"""

import math
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TypeVar

T = TypeVar("T")

_TEXT_LIMIT = 4000  # the rules of a game are the longest text there is
_WHOLE_LIMIT = 2**53  # beyond it JSON numbers of other languages are not exact
_WHOLE = re.compile(r"-?[0-9]{1,16}")


class FieldFault(Exception):  # noqa: N818
    """A needed field is missing or wrong. Translated at the edge of this package."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


def as_whole(value: object) -> int | None:
    """8, "8" and 8.0 are eight; true is no number."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        value = int(value) if _WHOLE.fullmatch(value.strip()) else None
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and abs(value) < _WHOLE_LIMIT else None


def as_flag(value: object) -> bool | None:
    """true, 1, "1" and "true" are true."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return {"true": True, "false": False, "1": True, "0": False}.get(value.strip().lower())
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    return None


def as_lines(value: object) -> str | None:
    """Without control characters and lone surrogates; never empty. A number is its digits."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        whole = as_whole(value)
        return str(whole) if whole is not None else str(value) if math.isfinite(value) else None
    if not isinstance(value, str):
        return None
    text = "".join(char for char in value[:_TEXT_LIMIT] if char.isprintable() or char == "\n").strip()
    return text or None


def as_text(value: object) -> str | None:
    """The same on one line."""
    lines = as_lines(value)
    return None if lines is None else " ".join(lines.split())


def as_instant_ms(value: object) -> int | None:
    """RFC 3339 with its zone, as milliseconds since the epoch. A time without a zone is no instant."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        instant = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    if instant.tzinfo is None:
        return None
    try:
        return round(instant.timestamp() * 1000)
    except (OverflowError, ValueError):
        return None


class ObjectReader:
    """One JSON object at a path, and the notes on what was odd in it."""

    def __init__(self, value: object, path: str, notes: list[str]) -> None:
        if not isinstance(value, dict):
            raise FieldFault(path)
        self._fields: dict[str, object] = value
        self.path = path
        self.notes = notes

    def has(self, *keys: str) -> bool:
        """Present, null included."""
        return any(key in self._fields for key in keys)

    def raw(self, *keys: str) -> object:
        """The value as it stands; None where it is null or missing."""
        return next((self._fields[key] for key in keys if key in self._fields), None)

    def get_whole(self, *keys: str) -> int:
        return self._get(as_whole, keys)

    def get_count(self, *keys: str) -> int:
        """A whole number that is not negative."""
        count = self.get_whole(*keys)
        if count < 0:
            raise FieldFault(self._at(keys))
        return count

    def get_id(self, *keys: str) -> int:
        """A whole number from 1 on, as ids in paths have to be."""
        number = self.get_whole(*keys)
        if number < 1:
            raise FieldFault(self._at(keys))
        return number

    def find_whole(self, *keys: str) -> int | None:
        return self._find(as_whole, keys)

    def get_flag(self, *keys: str) -> bool:
        return self._get(as_flag, keys)

    def find_flag(self, *keys: str) -> bool | None:
        return self._find(as_flag, keys)

    def get_text(self, *keys: str) -> str:
        return self._get(as_text, keys)

    def find_text(self, *keys: str) -> str | None:
        return None if self.raw(*keys) == "" else self._find(as_text, keys)

    def find_lines(self, *keys: str) -> str | None:
        return None if self.raw(*keys) == "" else self._find(as_lines, keys)

    def get_instant_ms(self, *keys: str) -> int:
        return self._get(as_instant_ms, keys)

    def find_instant_ms(self, *keys: str) -> int | None:
        return self._find(as_instant_ms, keys)

    def get_object(self, *keys: str) -> "ObjectReader":
        return ObjectReader(self.raw(*keys), self._at(keys), self.notes)

    def find_object(self, *keys: str) -> "ObjectReader | None":
        value = self.raw(*keys)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.note(*keys)
            return None
        return ObjectReader(value, self._at(keys), self.notes)

    def find_decoded(self, decode: Callable[["ObjectReader"], T], *keys: str) -> T | None:
        """An optional object; one that cannot be decoded is noted and None."""
        child = self.find_object(*keys)
        if child is None:
            return None
        try:
            return decode(child)
        except FieldFault as fault:
            self.notes.append(fault.path)
            return None

    def find_list(self, *keys: str) -> list[object] | None:
        """The items as they stand; None where the field is missing, null or no list."""
        value = self.raw(*keys)
        if value is None:
            return None
        if not isinstance(value, list):
            self.note(*keys)
            return None
        return value

    def find_all(self, decode: Callable[["ObjectReader"], T], *keys: str) -> tuple[T, ...] | None:
        """The items of a list that can be decoded; the others are noted."""
        items = self.find_list(*keys)
        return None if items is None else self.decode_each(decode, items, *keys)

    def decode_each(
        self, decode: Callable[["ObjectReader"], T], items: Iterable[object], *keys: str
    ) -> tuple[T, ...]:
        """As `find_all`, for items that were found at `keys` in another shape than a list."""
        decoded: list[T] = []
        for index, item in enumerate(items):
            try:
                decoded.append(decode(ObjectReader(item, f"{self._at(keys)}[{index}]", self.notes)))
            except FieldFault as fault:
                self.notes.append(fault.path)
        return tuple(decoded)

    def note(self, *keys: str) -> None:
        self.notes.append(self._at(keys))

    def _get(self, convert: Callable[[object], T | None], keys: tuple[str, ...]) -> T:
        value = convert(self.raw(*keys))
        if value is None:
            raise FieldFault(self._at(keys))
        return value

    def _find(self, convert: Callable[[object], T | None], keys: tuple[str, ...]) -> T | None:
        raw = self.raw(*keys)
        if raw is None:
            return None
        value = convert(raw)
        if value is None:
            self.note(*keys)
        return value

    def _at(self, keys: tuple[str, ...]) -> str:
        present = next((key for key in keys if key in self._fields), keys[0])
        return f"{self.path}.{present}"
