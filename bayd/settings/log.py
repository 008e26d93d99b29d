"""What is logged."""

from typing import Literal

from pydantic import Field

from bayd.settings.tables import Table

LogLevel = Literal["debug", "info", "warning", "error"]


class Log(Table):
    """What is logged."""

    level: LogLevel = Field(
        "info",
        description="`info` tells the evening, one event a line; `warning` only what to look at; `debug` is "
        "for defects. `bayd run --log-level` outranks it.",
    )
