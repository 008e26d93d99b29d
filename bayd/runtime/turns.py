"""A turn at a bay, lent to whoever decides about more bays than one.

While it is lent the bay takes no input; what time and people switch off is off all the same.
"""

import asyncio
from dataclasses import dataclass, field


def _future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    granted: asyncio.Future[None] = field(default_factory=_future)
    returned: asyncio.Future[None] = field(default_factory=_future)

    async def is_granted_within(self, timeout_s: float) -> bool:
        """False: it is not wanted any more."""
        await asyncio.wait({self.granted}, timeout=timeout_s)
        if not self.granted.done():
            self.granted.cancel()
        return not self.granted.cancelled()

    def give_back(self) -> None:
        if not self.returned.done():
            self.returned.set_result(None)
