"""The staff's board."""

from typing import Literal

from pydantic import Field

from bayd.settings.screens import Language
from bayd.settings.tables import Table


class Staff(Table):
    """Those who sign in at the board with a name and a PIN (`bayd staff add`)."""

    language: Language = Field("en", description="Of the board: `en` or `hi`.")
    theme: Literal["dark", "light", "auto"] = Field(
        "auto", description="Of the board: `dark`, `light`, or as the machine that shows it is set."
    )
    auto_lock_minutes: int = Field(
        15,
        ge=1,
        le=720,
        description="After so long without a touch the board is locked: nobody else goes on under that name.",
    )
