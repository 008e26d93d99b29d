"""What the server's page of a session says about calls of ours. Pure."""

from collections import Counter

from bayd.clients.central import ServerExtension, ServerSession
from bayd.core.model import OwnExtension
from bayd.reconcile.once import Effect, Facts


def baseline_of(row: ServerSession) -> Facts:
    """What is needed to recognise our own effect later."""
    extensions = row.extensions
    return {
        "duration_min": row.duration_min,
        "extended_min": row.extended_min,
        "extension_ids": None if extensions is None else [x.id for x in extensions],
    }


def effect_of_extension(before: Facts, row: ServerSession, minutes: int, amount: int) -> Effect:
    """Compare with the baseline: one new item like ours is done, none is absent, more is unknown."""
    ids = before.get("extension_ids")
    if isinstance(ids, list) and row.extensions is not None:
        new = [x for x in row.extensions if x.id is None or x.id not in ids]
        if any(x.id is None or x.duration_min is None for x in new):
            return Effect.UNKNOWN
        ours = [x for x in new if x.duration_min == minutes and x.amount in (amount, None)]
        if len(ours) > 1:
            return Effect.UNKNOWN
        return Effect.DONE if ours else Effect.ABSENT
    extended = before.get("extended_min")
    if not isinstance(extended, int) or row.extended_min is None:
        return Effect.UNKNOWN
    gained = row.extended_min - extended
    if gained == 0:
        return Effect.ABSENT
    return Effect.DONE if gained == minutes else Effect.UNKNOWN


def effect_of_game(page: ServerSession, game_id: int) -> Effect:
    shown = page.game is not None and page.game.id == game_id
    return Effect.DONE if shown else Effect.ABSENT


def effect_of_end(row: ServerSession) -> Effect:
    if row.cancel or row.released_at_ms is not None:
        return Effect.DONE
    return Effect.ABSENT if row.released_known else Effect.UNKNOWN


def difference(delivered: list[OwnExtension], extensions: tuple[ServerExtension, ...]) -> str:
    """Which of our extensions the server shows more or less often than they were given; "" for none."""
    ours = Counter((x.minutes, x.amount) for x in delivered)
    theirs: Counter[tuple[int, int]] = Counter()
    for shown in extensions:
        for minutes, amount in ours:
            if shown.duration_min == minutes and shown.amount in (amount, None):
                theirs[minutes, amount] += 1
    return " ".join(
        f"Extensions of {minutes} minutes: {count} given here, {theirs[minutes, amount]} shown there."
        for (minutes, amount), count in sorted(ours.items())
        if theirs[minutes, amount] != count
    )
