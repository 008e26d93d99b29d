"""HTML as values: text is escaped where it enters, and only elements made here are markup."""

import html
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Union

_VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})
# Our security policy forbids them; an element that has one is a defect.
_FORBIDDEN = ("on", "style")

Child = Union["Html", str, int, None]


@dataclass(frozen=True, slots=True)
class Html:
    """Markup, complete and escaped."""

    text: str

    def __str__(self) -> str:
        return self.text


def el(tag: str, *children: Child, **attributes: str | int | bool | None) -> Html:
    """An element. `class_`, `for_`: a trailing underscore is dropped; others become hyphens.

    True: the attribute alone; None or False: without it. A child that is None is left out.
    """
    words = [tag]
    for name, value in attributes.items():
        name = name.rstrip("_").replace("_", "-")  # noqa: PLW2901
        if name.startswith(_FORBIDDEN):
            raise ValueError(f"an attribute {name} is never allowed")
        if value is True:
            words.append(name)
        elif value is not None and value is not False:
            words.append(f'{name}="{html.escape(str(value))}"')
    opening = f"<{' '.join(words)}>"
    if tag in _VOID:
        return Html(opening)
    return Html(f"{opening}{join(children)}</{tag}>")


def join(children: Iterable[Child]) -> Html:
    """Elements and text, one behind the other."""
    return Html("".join(_text(child) for child in children))


def _text(child: Child) -> str:
    if child is None:
        return ""
    return child.text if isinstance(child, Html) else html.escape(str(child), quote=False)
