"""A stage whose daemon is listened to: none of its secrets may be in its log or its answers."""

from pathlib import Path

from bayd.demo.doors import Booked, Doors
from bayd.demo.stage import Stage
from tests.let_out import keep_secret, listen_to, read_log

PHONES = "15550101"  # followed by the guest's number, as the doors book
_SECRET_CHARS = 16  # of a word in a credential's file


def heed(stage: Stage) -> None:
    """Once it is up."""
    keep_credentials_secret(stage.directory / "credentials")
    read_log(stage.directory / "bayd.log")
    listen_to(stage.ports["bayd"])


def keep_credentials_secret(directory: Path) -> None:
    for file in directory.iterdir():
        if file.name != "qod_client_id":
            keep_secret(*(word for word in file.read_text().split() if len(word) >= _SECRET_CHARS))


async def book(doors: Doors, bay: str, minutes: int, amount: int) -> Booked:
    booked = await doors.book(bay, minutes, amount)
    keep_secret(booked.pin, PHONES)
    return booked
