"""How late it is at least. A clock that nobody keeps may be years behind: then the server's answers and its
newest session tell."""

from bayd.clients.central import CentralClient, ServerSession
from bayd.ports import Clock


class LeastTime:
    def __init__(self, client: CentralClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._list_was_read = False
        self._newest_created_ms = 0  # of the server's newest session

    def list_ends_with(self, newest: ServerSession | None) -> None:
        """The server's list of sessions was read; None: it is empty, which tells nothing."""
        self._list_was_read = True
        if newest is not None:
            self._newest_created_ms = newest.created_at_ms

    @property
    def is_told(self) -> bool:
        """By a clock that is kept, or by the server as far as it can tell."""
        said = self._client.server_wall_ms is not None or self._list_was_read
        return said or self._clock.now().synchronised

    def wall_ms(self) -> int:
        now = self._clock.now()
        if now.synchronised:
            return now.wall_ms
        return max(now.wall_ms, self._newest_created_ms, self._client.server_wall_ms or 0)
