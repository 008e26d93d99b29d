"""The staff's board."""

from pydantic import Field

from bayd.settings.tables import Table


class Staff(Table):
    """Those who sign in at the board with a name and a PIN (`bayd staff add`)."""

    auto_lock_minutes: int = Field(
        15,
        ge=1,
        le=720,
        description="After so long without a touch the board is locked: nobody else goes on under that name.",
    )
