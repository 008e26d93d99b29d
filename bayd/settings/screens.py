"""How the pages speak and look."""

from typing import Literal

from pydantic import Field

from bayd.settings.tables import Table

Language = Literal["en", "hi"]


class Screens(Table):
    """The bays' screens."""

    language: Language = Field(
        "en",
        description="Of a screen nobody has touched: `en` or `hi`. Guests switch it on the screen, and it is "
        "back at the end of their session.",
    )
    theme: Literal["dark", "light", "auto"] = Field(
        "dark",
        description="`dark` dazzles nobody at night, `light` is read best in sunlight; `auto` follows the "
        "machine's own setting.",
    )
