"""From raw reads to credits, each ball once.

What is present is a *ball*, not a ball at a port: its presence starts with the first read at any tee
and ends after `absent_after_ms` without one. Each presence is decided once:

1. Confirm. A bay is believed after one read (CRC-16 families) or two reads of the very same EPC at the
   same bay, by whichever of its ports, inside `confirm_within_ms` (8-bit checksum: of 100,000 frames at
   a bit-error rate of 1e-3, 2.7 name another registered ball, and none is seen twice; wire/rfid.md,
   "Framing and resynchronisation"). Returns, pits and foreign tags need the same confirmation. The EPC
   must be registered exactly as it is; a prefix is nothing.
2. Arbitrate. The first confirmation opens a window of `arbitration_ms`; when it closes, `arbitration`
   names the bay. So a weak neighbour that hears the ball first waits for the ball's own bay. Who is
   first heard after the window is too late. A bay that was much louder inside the window, but is not
   yet confirmed, is waited for until it is or can no longer be: at most `confirm_within_ms` more. Where
   only one bay is routed nobody can object, and the credit is given at once.
3. Credit, unless the ball is *spent*: credited before, and since then neither unheard at every tee for
   `recount_after_s` nor seen at a return after every tee. Reads too weak to count, and single ones,
   still prove that a spent ball lies there: a missed ball is the smaller fault than one counted twice.

A spent ball's presence is decided too, without a credit: a pit asks which bay had it last.

Decisions depend on the reads and their times alone, not on when `due` is called: `feed` decides what
has ripened before it listens to anything new.

The shortest stay that counts. With a port visited every R ms and n reads per visit, a bay that needs k
reads hears a ball for sure when it stays for ceil(k / n) visits: ceil(k / n) x R. On eight ports at
stay 1 (R up to 480 ms) that is 960 ms on the 0xA0 family, and 480 ms on a CRC-16 family or with two
reads per visit. Below (ceil(k / n) - 1) x R it is never counted, nor when R exceeds
`confirm_within_ms` at one read per visit and k = 2.

State is mutable and lives in memory only; it is never journaled. After a restart `seed` gives back what
matters of it. Per EPC and antenna there is one small record; a read makes no object that outlives it.
Bounds: `max_balls` EPCs, each with at most one record per antenna that hears it now; twice
`max_foreign` foreign ones.
"""

import heapq
from collections.abc import Container, Iterable, Sequence

from bayd.core.presence.arbitration import find_winner, worth_waiting_for
from bayd.core.presence.facts import (
    BallRead,
    Outcome,
    Pit,
    PitSighting,
    PresenceCounters,
    PresenceRules,
    Route,
    Sighting,
)
from bayd.core.presence.foreign import ForeignTags
from bayd.core.presence.memory import LONG_AGO, Antenna, Ball, BallMemory


class PresenceEngine:
    """All tees, returns and pits of one daemon: reads in, outcomes out.

    Times are milliseconds of one monotonic clock; a time before an earlier one is taken as that one.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        registered: Container[str],
        rules: PresenceRules | None = None,
    ) -> None:
        """Raises ValueError when a port is routed twice."""
        self._rules = rules or PresenceRules()
        self._registered = registered
        self._antennas: dict[tuple[str, int], Antenna] = {}
        self._one_bay = False
        self._balls = BallMemory(self._rules)
        self._foreign = ForeignTags(self._rules)
        self._ripening: list[tuple[int, int, Ball]] = []  # a heap; an entry that is not `due_ms` is stale
        self._scheduled = 0
        self._now_ms = LONG_AGO
        self._listening = False
        self._reads = self._unrouted = self._below_floor = 0
        self.reroute(routes)

    @property
    def counters(self) -> PresenceCounters:
        return PresenceCounters(
            reads=self._reads,
            unrouted=self._unrouted,
            below_floor=self._below_floor,
            balls_evicted=self._balls.evicted,
            foreign_evicted=self._foreign.evicted,
        )

    def reroute(self, routes: Iterable[Route]) -> None:
        """Take other routes from the next read on. What was heard stays with the place that heard it.

        Raises ValueError when a port is routed twice; the old routes then stay.
        """
        antennas: dict[tuple[str, int], Antenna] = {}
        for route in routes:
            key = (route.reader, route.port)
            if key in antennas:
                raise ValueError(
                    f"reader {route.reader} port {route.port} is routed twice, to {antennas[key].place} "
                    f"and to {route.place}: give each port one place"
                )
            antennas[key] = Antenna(route)
        self._antennas = antennas
        self._one_bay = len({antenna.place for antenna in antennas.values() if antenna.at_tee}) == 1

    def change_rules(self, rules: PresenceRules) -> None:
        """Decide by these from now on; what is decided already stays."""
        self._rules = rules
        self._balls.change_rules(rules)
        self._foreign.change_rules(rules)

    def register(self, registered: Container[str]) -> None:
        """Count these balls from now on. One that is no longer among them is not credited any more.

        If it lies somewhere, it is told as foreign when it is next put down.
        """
        self._registered = registered

    def seed(self, credits_given: Iterable[tuple[str, str, int]]) -> None:
        """Restore recent credits (EPC, bay, at_ms), best those of the last `attribution_s`, at the start.

        Whether such a ball still lies on the tee is unknown, so it is taken to have lain there until
        the first reads: it counts again after `recount_after_s` from then, or after a return. `at_ms`
        is in the present clock's terms and may be negative.
        """
        for epc, bay, at_ms in credits_given:
            ball = self._balls.by_epc.get(epc) or self._balls.add(epc, self._now_ms)
            ball.spent = True
            ball.held_ms = max(ball.held_ms, self._now_ms)
            if at_ms >= ball.last_ms:
                ball.last_ms = at_ms
                ball.bay = bay

    def was_deaf(self, bays: Container[str], since_ms: int, now_ms: int) -> None:
        """Nobody listened at these bays between the two moments: that silence was no absence."""
        for ball in self._balls:
            heard_ms = max(ball.last_ms, ball.held_ms)
            if ball.spent and ball.bay in bays and since_ms - heard_ms < self._rules.recount_after_s * 1_000:
                ball.held_ms = max(ball.held_ms, now_ms)

    def next_due_ms(self) -> int | None:
        """When `due` has something to say, if nothing more is heard until then."""
        while self._ripening and self._ripening[0][2].due_ms != self._ripening[0][0]:
            heapq.heappop(self._ripening)
        return self._ripening[0][0] if self._ripening else None

    def due(self, now_ms: int) -> list[Outcome]:
        """Decide what has ripened. Calling it late or too often changes no outcome."""
        self._now_ms = max(self._now_ms, now_ms)
        outcomes: list[Outcome] = []
        while (due_ms := self.next_due_ms()) is not None and due_ms <= self._now_ms:
            ball = heapq.heappop(self._ripening)[2]
            self._decide(ball, due_ms, outcomes)
        return outcomes

    def feed(self, reads: Sequence[Sighting], now_ms: int) -> list[Outcome]:
        """Take reads, oldest first, all heard at about `now_ms`. Also returns what ripened before."""
        outcomes = self.due(now_ms)
        now_ms = self._now_ms
        if not self._listening:
            self._start_listening()
        antennas, balls, absent_ms = self._antennas, self._balls.by_epc, self._rules.absent_after_ms
        self._reads += len(reads)
        for read in reads:
            reader, port, epc, rssi_dbm, rssi_raw, _ = read
            antenna = antennas.get((reader, port))
            if antenna is None:
                self._unrouted += 1
                continue
            ball = balls.get(epc)
            if rssi_raw < antenna.floor_raw if rssi_dbm is None else rssi_dbm < antenna.floor_dbm:
                self._below_floor += 1
                if ball is not None and antenna.at_tee:
                    ball.held_ms = now_ms
                continue
            # Nearly every read is of a ball whose presence is decided: it passes here.
            if ball is not None:
                mark = ball.marks.get(antenna)
                if mark is not None and mark.done and now_ms - mark.last_ms < absent_ms:
                    mark.hear(now_ms, rssi_dbm, rssi_raw)
                    if antenna.at_tee:
                        ball.last_ms = now_ms
                    elif antenna.at_return:
                        ball.returned_ms = now_ms
                    continue
            self._consider(ball, antenna, read, outcomes)
        return outcomes

    def _start_listening(self) -> None:
        self._listening = True
        for ball in self._balls:
            ball.last_ms = min(ball.last_ms, self._now_ms)  # a seed from the future would never end
            ball.held_ms = self._now_ms

    def _consider(self, ball: Ball | None, antenna: Antenna, read: Sighting, outcomes: list[Outcome]) -> None:
        if read.epc not in self._registered:
            if ball is not None and antenna.at_tee:
                ball.held_ms = self._now_ms  # retired, yet it lies there
            foreign = self._foreign.hear(read, antenna.place, self._now_ms)
            if foreign is not None:
                outcomes.append(foreign)
            return
        if ball is None:
            ball = self._balls.add(read.epc, self._now_ms)
        if antenna.at_tee:
            self._hear_at_tee(ball, antenna, read, outcomes)
        else:
            self._hear_away(ball, antenna, read, outcomes)

    def _hear_at_tee(self, ball: Ball, antenna: Antenna, read: Sighting, outcomes: list[Outcome]) -> None:
        now_ms = self._now_ms
        if now_ms - ball.last_ms >= self._rules.absent_after_ms:
            self._begin_presence(ball)
        mark, _, confirmed = ball.note(antenna, read, now_ms, self._rules)
        ball.last_ms = now_ms
        if ball.settled:
            mark.done = True
            return
        if not confirmed:
            return
        mark.confirmed = True
        if ball.closes_ms is None:
            ball.closes_ms = now_ms + self._rules.arbitration_ms
            if self._one_bay:
                self._decide(ball, ball.closes_ms, outcomes)
            else:
                self._schedule(ball, ball.closes_ms)
        elif now_ms >= ball.closes_ms:
            self._decide(ball, now_ms, outcomes)  # perhaps the bay that was waited for

    def _begin_presence(self, ball: Ball) -> None:
        if ball.settled:
            ball.bay_seen_ms = ball.last_ms
        absence_ms = self._now_ms - max(ball.last_ms, ball.held_ms)
        if absence_ms >= self._rules.recount_after_s * 1_000 or ball.returned_ms > ball.last_ms:
            ball.spent = False
        ball.settled = False
        ball.closes_ms = None

    def _hear_away(self, ball: Ball, antenna: Antenna, read: Sighting, outcomes: list[Outcome]) -> None:
        """At a return or in a pit."""
        now_ms = self._now_ms
        mark, here, confirmed = ball.note(antenna, read, now_ms, self._rules)
        told = any(other.done for other in here)
        if not (confirmed or told):
            return
        mark.done = True
        if antenna.at_return:
            ball.returned_ms = now_ms
        elif isinstance(antenna.place, Pit) and not told:
            seen_ms = ball.last_ms if ball.settled else ball.bay_seen_ms
            bay = ball.bay if now_ms - seen_ms < self._rules.attribution_s * 1_000 else None
            first_ms = min(other.first_ms for other in here)
            outcomes.append(PitSighting(antenna.place.name, ball.epc, bay, first_ms))

    def _schedule(self, ball: Ball, due_ms: int) -> None:
        ball.due_ms = due_ms
        self._scheduled += 1  # so that equal times keep their order and balls are never compared
        heapq.heappush(self._ripening, (due_ms, self._scheduled, ball))

    def _decide(self, ball: Ball, now_ms: int, outcomes: list[Outcome]) -> None:
        """End the arbitration, or wait for a bay that may still take the ball."""
        assert ball.closes_ms is not None
        rules = self._rules
        contenders = ball.contenders(ball.closes_ms)
        winner = find_winner(contenders, rules.hysteresis_db)
        assert winner is not None  # a confirmed bay opened the window, and its record outlives it
        rivals = worth_waiting_for(contenders, winner, rules.hysteresis_db)
        latest_ms = max((rival.last_ms for rival in rivals), default=LONG_AGO)
        wait_until_ms = min(latest_ms, ball.closes_ms) + rules.confirm_within_ms
        if wait_until_ms > now_ms:
            self._schedule(ball, wait_until_ms)
            return
        ball.settled = True
        ball.closes_ms = ball.due_ms = None
        ball.bay = winner.bay
        for antenna, mark in ball.marks.items():
            if antenna.at_tee:
                mark.done = True
        if not ball.spent and ball.epc in self._registered:
            ball.spent = True
            outcomes.append(BallRead(winner.bay, ball.epc, winner.first_ms, winner.rssi_dbm, winner.rssi_raw))
