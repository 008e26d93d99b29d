"""The last answer to a question, kept in the journal: it holds after a restart while the server is away."""

from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from bayd.core import events as e
from bayd.journal import Journal

T = TypeVar("T")


class KeptListing(Generic[T]):
    """One list under its name. Nothing about people may be kept in this way."""

    def __init__(self, journal: Journal[e.Event], name: str, item: type[T]) -> None:
        self._journal = journal
        self._name = name
        self._adapter: TypeAdapter[tuple[T, ...]] = TypeAdapter(tuple[item, ...])  # type: ignore[valid-type]

    async def load(self) -> tuple[T, ...] | None:
        """None: nothing is kept, or another release kept it in another form."""
        text = await self._journal.query(lambda reader: reader.find_kept(self._name))
        if text is None:
            return None
        try:
            return self._adapter.validate_json(text)
        except ValidationError:
            return None

    async def save(self, items: tuple[T, ...]) -> None:
        """Raises NotWrittenError, JournalUnavailableError."""
        text = self._adapter.dump_json(items).decode()
        await self._journal.transact(lambda writer: writer.keep(self._name, text), deferrable=True)
