"""A driving range as radio sees it: where balls lie, what each antenna hears of them, and when.

Written from physics and from how readers take turns, not from the rules that count balls: it knows no
window, hysteresis or confirmation. A passive tag must get enough power to wake (forward link); what
comes back is attenuated once more (return link). On both ways: the antenna's pattern, path loss with
distance, a fixed shadowing per place and antenna (clubs, mats, wet grass), and fading per read.
Fading is bounded here, so that "always louder" is a fact of a layout and not of a seed.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

BITS_OF_EPC = 96


@dataclass(frozen=True, slots=True)
class Point:
    """Metres; x along the row of bays, y towards the field."""

    x_m: float
    y_m: float


@dataclass(frozen=True, slots=True)
class Dish:
    """An antenna: above the middle of its mat, looking down."""

    reader: str
    port: int
    place: str  # a bay, or the name of a return
    over: Point
    height_m: float = 1.6
    power_dbm: float = 30.0

    def gain_dbi(self, angle_deg: float) -> float:
        """A patch of 8.5 dBi with a beam of 65 degrees (3 dB), 20 dB down at the sides."""
        return 8.5 - min(20.0, 12.0 * (angle_deg / 65.0) ** 2)


@dataclass(frozen=True, slots=True)
class Air:
    """What happens between antenna and tag."""

    frequency_mhz: float = 866.0
    exponent: float = 2.2  # of the path loss; 2 is free space
    tag_wakes_dbm: float = -17.0
    backscatter_loss_db: float = 6.0
    reader_hears_dbm: float = -84.0
    shadowing_db: float = 1.5  # standard deviation, fixed per place and antenna
    fading_db: float = 2.5  # at most, either way, new for each read

    def path_loss_db(self, distance_m: float) -> float:
        at_one_metre_db = 20 * math.log10(self.frequency_mhz) - 27.55
        return at_one_metre_db + 10 * self.exponent * math.log10(max(distance_m, 0.1))

    def link(self, dish: Dish, at: Point) -> tuple[float, float]:
        """Power at the tag and back at the reader, both in dBm, without shadowing and fading."""
        aside_m = math.hypot(at.x_m - dish.over.x_m, at.y_m - dish.over.y_m)
        distance_m = math.hypot(aside_m, dish.height_m)
        gain_db = dish.gain_dbi(math.degrees(math.atan2(aside_m, dish.height_m)))
        one_way_db = gain_db - self.path_loss_db(distance_m)
        at_tag_dbm = dish.power_dbm + one_way_db
        return at_tag_dbm, at_tag_dbm - self.backscatter_loss_db + one_way_db


@dataclass(frozen=True, slots=True)
class Visit:
    """A reader listens at one port for a moment."""

    at_ms: int
    dish: Dish
    rounds: int


def visits(dishes: list[Dish], until_ms: int, rng: random.Random, rounds: int = 1) -> Iterator[Visit]:
    """One reader's turns through its ports: 35 to 60 ms a round, so 0.28 to 0.48 s for eight ports."""
    at_ms = rng.randrange(400)
    while at_ms < until_ms:
        for dish in dishes:
            for _ in range(rounds):
                at_ms += rng.randint(35, 60)
            yield Visit(at_ms, dish, rounds)


def longest_revisit_ms(port_count: int, rounds: int = 1) -> int:
    """Between two visits of one port, by the figures of `visits`."""
    return 60 * rounds * port_count


@dataclass(frozen=True, slots=True)
class Stay:
    """The truth: a ball lies at one spot for a while."""

    epc: str
    place: str  # whose mat it lies on, or the return it passes
    at: Point
    from_ms: int
    until_ms: int
    shadow_db: tuple[float, ...]  # per dish, in the order of the range's dishes


@dataclass(frozen=True, slots=True)
class Heard:
    """One decoded frame, true or not."""

    at_ms: int
    reader: str
    port: int
    epc: str
    rssi_dbm: int


@dataclass(slots=True)
class Range:
    """Dishes in the air. `hear` turns stays into frames, in the order of time."""

    dishes: list[Dish]
    air: Air = field(default_factory=Air)

    def shadows(self, rng: random.Random) -> tuple[float, ...]:
        limit_db = 2 * self.air.shadowing_db
        return tuple(max(-limit_db, min(limit_db, rng.gauss(0, self.air.shadowing_db))) for _ in self.dishes)

    def steady(self, stay: Stay, index: int) -> tuple[float, float]:
        """Both powers of a stay at a dish, before fading."""
        at_tag_dbm, back_dbm = self.air.link(self.dishes[index], stay.at)
        return at_tag_dbm + stay.shadow_db[index], back_dbm + 2 * stay.shadow_db[index]

    def _passes(self, at_tag_dbm: float, back_dbm: float) -> bool:
        return at_tag_dbm >= self.air.tag_wakes_dbm and back_dbm >= self.air.reader_hears_dbm

    def surely_heard(self, stay: Stay, index: int) -> bool:
        """At each visit, whatever the fading."""
        at_tag_dbm, back_dbm = self.steady(stay, index)
        return self._passes(at_tag_dbm - self.air.fading_db, back_dbm - self.air.fading_db)

    def ever_heard(self, stay: Stay, index: int) -> bool:
        at_tag_dbm, back_dbm = self.steady(stay, index)
        return self._passes(at_tag_dbm + self.air.fading_db, back_dbm + self.air.fading_db)

    def lead_db(self, stay: Stay) -> float:
        """By how much the ball's own bay is steadily louder than any other that can hear it."""
        own = [i for i, dish in enumerate(self.dishes) if dish.place == stay.place]
        others = [i for i in range(len(self.dishes)) if i not in own and self.ever_heard(stay, i)]
        own_dbm = max(self.steady(stay, i)[1] for i in own)
        return own_dbm - max((self.steady(stay, i)[1] for i in others), default=-math.inf)

    def always_louder_by_db(self, stay: Stay) -> float:
        """The lead that is left in the worst fading of both, rounding of whole dBm included."""
        return self.lead_db(stay) - 2 * self.air.fading_db - 1.0

    def hear(self, stays: list[Stay], until_ms: int, rng: random.Random, rounds: int = 1) -> Iterator[Heard]:
        readers: dict[str, list[int]] = {}
        for index, dish in enumerate(self.dishes):
            readers.setdefault(dish.reader, []).append(index)
        index_of = {(dish.reader, dish.port): index for index, dish in enumerate(self.dishes)}
        turns = sorted(
            (
                visit
                for indexes in readers.values()
                for visit in visits([self.dishes[i] for i in indexes], until_ms, rng, rounds)
            ),
            key=lambda visit: visit.at_ms,
        )
        waiting = sorted(stays, key=lambda stay: stay.from_ms, reverse=True)
        lying: list[tuple[Stay, dict[int, tuple[float, float]]]] = []
        for visit in turns:
            while waiting and waiting[-1].from_ms <= visit.at_ms:
                stay = waiting.pop()
                audible = {
                    i: self.steady(stay, i) for i in range(len(self.dishes)) if self.ever_heard(stay, i)
                }
                lying.append((stay, audible))
            lying = [(stay, audible) for stay, audible in lying if stay.until_ms > visit.at_ms]
            index = index_of[visit.dish.reader, visit.dish.port]
            for stay, audible in lying:
                if index not in audible:
                    continue
                at_tag_dbm, back_dbm = audible[index]
                for _ in range(visit.rounds):
                    fading_db = rng.uniform(-self.air.fading_db, self.air.fading_db)
                    if not self._passes(at_tag_dbm + fading_db, back_dbm + fading_db):
                        continue
                    yield Heard(
                        visit.at_ms,
                        visit.dish.reader,
                        visit.dish.port,
                        stay.epc,
                        round(back_dbm + fading_db),
                    )


def flip_bits(epc: str, rng: random.Random) -> str:
    """What a noisy line makes of an EPC: two to four bits wrong, so the prefix is often intact."""
    value = int(epc, 16)
    for bit in rng.sample(range(BITS_OF_EPC), rng.randint(2, 4)):
        value ^= 1 << bit
    return f"{value:024X}"
