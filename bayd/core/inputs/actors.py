"""Who asks."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    SCREEN = "screen"  # the customer at the bay
    STAFF = "staff"
    TECHNICIAN = "technician"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    role: Role
    name: str  # "screen", a staff member's login name: for the audit


SYSTEM = Actor(Role.SYSTEM, "bayd")
