"""The audit's rows in people's words: what was done, what was asked for, what it changed from what to what.

What the catalogue has no word for is left out, such as the name of an attempt; the act itself never is.
"""

from collections.abc import Callable

from bayd.core.audit import AuditNote, Fact
from bayd.web.pages.words import Words

_NOTHING = "—"
# Where the catalogue has the words of a value.
_VALUES = {
    "payment": "pay.{}",
    "role": "role.{}",
    "phase": "phase.{}",
    "mode": "mode.{}",
    "device": "device.{}",
    **{f"device_{name}": "device_state.{}" for name in ("reader", "dispenser", "screen")},
}


class ToldActs:
    def __init__(self, words: Words, price: Callable[[int], str], clock_text: Callable[[float], str]) -> None:
        self._words = words
        self._price = price
        self._clock_text = clock_text

    def act(self, note: AuditNote) -> str:
        key = f"audit.{note.act}"
        return self._words.say(key) if self._words.has(key) else note.act

    def details(self, note: AuditNote) -> list[str]:
        """What was asked for, then what changed."""
        said = self._words
        texts = [
            said.say(f"asked.{name}", value=self._value(name, value))
            for name, value in note.asked.items()
            if value not in (None, "", False) and said.has(f"asked.{name}")
        ]
        return texts + [
            said.say(
                "audit.change",
                fact=said.say(f"fact.{name}"),
                before=self._value(name, note.before.get(name)),
                after=self._value(name, after),
            )
            for name, after in note.after.items()
            if said.has(f"fact.{name}")
            and (after or note.before.get(name))  # from nothing to nothing is no news
        ]

    def _value(self, name: str, value: Fact) -> str:
        said = self._words
        if value is None or value == "":
            return _NOTHING
        if isinstance(value, bool):
            return said.say("devices.yes" if value else "devices.no")
        if isinstance(value, int):
            if name in ("amount", "due"):
                return self._price(value)
            return self._clock_text(value) if name == "remaining_s" else str(value)
        key = _VALUES.get(name, "").format(value)
        return said.say(key) if said.has(key) else value
