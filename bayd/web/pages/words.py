"""Texts of the pages that are drawn here: the catalogues that the scripts use too."""

import json
from collections.abc import Mapping

from bayd.web.pages.files import DIRECTORY

_SIGNS = {"INR": "₹", "USD": "$", "EUR": "€", "GBP": "£", "AUD": "A$", "CAD": "CA$", "NZD": "NZ$"}


class Words:
    """The texts of one page in one language. A text that is missing is a defect: LookupError."""

    def __init__(self, page: str, language: str) -> None:
        self.language = language
        self._texts: Mapping[str, str] = json.loads((DIRECTORY / f"i18n/{page}.{language}.json").read_text())

    def has(self, key: str) -> bool:
        return key in self._texts

    def warning(self, code: str, text: str, facts: Mapping[str, object]) -> str:
        """`text`, the daemon's own words, and what they name stand where the catalogue wants them."""
        key = f"warning.{code}"
        return self.say(key, **facts, text=text) if self.has(key) else text

    def price(self, amount: int, currency: str) -> str:
        """As the scripts write it, by the rules of India: ₹1,20,000."""
        digits = str(abs(amount))
        thousands, rest = digits[:-3], digits[-3:]
        pairs = [thousands[max(0, end - 2) : end] for end in range(len(thousands), 0, -2)]
        sign = _SIGNS.get(currency, f"{currency}\N{NO-BREAK SPACE}" if currency else "")
        return f"{'-' if amount < 0 else ''}{sign}{','.join([*reversed(pairs), rest])}"

    def say(self, key: str, **values: object) -> str:
        """With `count` there are two texts; numbers are grouped. Both as in the scripts."""
        if "count" in values:
            # CLDR plural rules: "one" is 1 in English, 0 and 1 in Hindi.
            one = values["count"] == 1 or (self.language == "hi" and values["count"] == 0)
            key = f"{key}.{'one' if one else 'other'}"
        text = self._texts[key]
        for name, value in values.items():
            shown = self.price(value, "") if isinstance(value, int) else str(value)
            text = text.replace(f"{{{name}}}", shown)
        return text
