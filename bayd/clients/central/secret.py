"""A value that must not be seen: PIN, telephone number, password, token.

It survives `repr`, `str`, f-strings, `dataclasses.asdict` and a dump of locals as `Secret(******)`, and
refuses to be pickled. Only `reveal()` gives it away, so that every place that does can be found.
"""

import hmac
from typing import Final, NoReturn

_MASKED: Final = "Secret(******)"


class Secret:
    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value: Final = value

    def reveal(self) -> str:
        return self._value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return _MASKED

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, _memo: object) -> "Secret":
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")
