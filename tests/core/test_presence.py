"""The tee's evening as scripts: what the antennas hear, and (after the arrow) what must come of it.

The whole transcript is compared, so a credit too many fails like a missing one. Timers are driven as
the daemon would: `due` is called at each `next_due_ms`.
"""

import pytest

from bayd.core.presence import (
    BallRead,
    BallReturn,
    ForeignTag,
    Outcome,
    Pit,
    PitSighting,
    PresenceEngine,
    PresenceRules,
    Route,
    Sighting,
    Tee,
)

# Reader "a0" has an 8-bit checksum, "crc" a CRC-16; "raw" is of the family that reports no dBm.
ANTENNAS = {
    "bay 107": ("a0", 1),
    "bay 108": ("a0", 2),
    "bay 109": ("a0", 3),
    "bay 109 left": ("a0", 4),
    "return": ("a0", 7),
    "pit S1_1": ("a0", 8),
    "bay 201": ("crc", 1),
    "bay 202": ("crc", 2),
    "bay 203": ("crc", 3),
    "pit S2_1": ("crc", 7),
    "pit S2_1 rim": ("crc", 8),
    "bay 301": ("raw", 1),
    "bay 302": ("raw", 2),
    "nowhere": ("a0", 6),
}
ROUTES = [
    Route("a0", 1, Tee("107"), floor_dbm=-75),
    Route("a0", 2, Tee("108"), floor_dbm=-75),
    Route("a0", 3, Tee("109"), floor_dbm=-75),
    Route("a0", 4, Tee("109"), floor_dbm=-75),
    Route("a0", 7, BallReturn("return"), floor_dbm=-75),
    Route("a0", 8, Pit("S1_1"), floor_dbm=-75),
    Route("crc", 1, Tee("201")),
    Route("crc", 2, Tee("202")),
    Route("crc", 3, Tee("203")),
    Route("crc", 7, Pit("S2_1")),
    Route("crc", 8, Pit("S2_1")),
    Route("raw", 1, Tee("301"), floor_raw=40),
    Route("raw", 2, Tee("302"), floor_raw=40),
]
BALLS = {name: f"E28011700000020A7D00{number:04X}" for number, name in enumerate("ABCDEFG", start=1)}
STRANGERS = {"X": "E28011700000020A7D00FFF1", "Y": "300833B2DDD9014000000001"}
EPCS = BALLS | STRANGERS
NAMES = {epc: name for name, epc in EPCS.items()}


class Evening:
    """One engine, played by a script."""

    def __init__(
        self,
        rules: PresenceRules | None = None,
        routes: list[Route] = ROUTES,
        credited: tuple[tuple[str, str, float], ...] = (),
    ) -> None:
        self.engine = PresenceEngine(routes, frozenset(BALLS.values()), rules)
        self.engine.seed((EPCS[name], bay, round(at_s * 1_000)) for name, bay, at_s in credited)
        self.now_ms = 0

    def plays(self, script: str) -> None:
        expected = [" ".join(line.split()) for line in script.strip().splitlines() if line.strip()]
        happened: list[str] = []
        for line in expected:
            if line.startswith("=>"):
                continue
            at, _, deed = line.partition(" ")
            self._run_until(round(float(at) * 1_000), happened)
            happened.append(line)
            place, _, heard = deed.partition(" hears ")
            name, unit, level = heard.split()
            reader, port = ANTENNAS[place]
            sighting = Sighting(
                reader,
                port,
                EPCS[name],
                int(level) if unit == "at" else None,
                int(level) + 129 if unit == "at" else int(level),
                2 if reader == "a0" else 1,
            )
            self._tell(self.engine.feed([sighting], self.now_ms), happened)
        self._run_until(self.now_ms + 1_900, happened)  # every decision falls by then
        assert "\n".join(happened) == "\n".join(expected)

    def _run_until(self, until_ms: int, happened: list[str]) -> None:
        while (due_ms := self.engine.next_due_ms()) is not None and due_ms <= until_ms:
            self.now_ms = due_ms
            self._tell(self.engine.due(due_ms), happened)
        self.now_ms = until_ms

    def _tell(self, outcomes: list[Outcome], happened: list[str]) -> None:
        now = f"=> {self.now_ms / 1_000:.3f}"
        for outcome in outcomes:
            match outcome:
                case BallRead(bay, epc, at_ms, rssi_dbm, rssi_raw):
                    level = f"raw {rssi_raw}" if rssi_dbm is None else f"{rssi_dbm}"
                    happened.append(f"{now} {NAMES[epc]} counts for {bay}, {at_ms / 1_000:.3f} {level}")
                case ForeignTag(place, epc, at_ms):
                    assert at_ms == self.now_ms
                    where = place.bay if isinstance(place, Tee) else place.name
                    happened.append(f"{now} {NAMES[epc]} is foreign at {where}")
                case PitSighting(pit, epc, bay, at_ms):
                    happened.append(f"{now} {NAMES[epc]} of {bay} in {pit}, {at_ms / 1_000:.3f}")


# Confirming


def test_two_reads_make_a_credit_dated_at_the_first() -> None:
    Evening().plays("""
           0.000 bay 107 hears A at -60
           0.400 bay 107 hears A at -57
        => 0.900 A counts for 107, 0.000 -57
           1.300 bay 107 hears A at -55
    """)


def test_one_read_is_enough_under_a_crc_16() -> None:
    Evening().plays("""
           0.000 bay 201 hears A at -60
        => 0.500 A counts for 201, 0.000 -60
    """)


def test_two_reads_must_come_inside_one_second() -> None:
    Evening().plays("""
            0.000 bay 107 hears A at -60
            1.000 bay 107 hears A at -60
            2.000 bay 107 hears A at -60
            2.999 bay 107 hears A at -60
        =>  3.499 A counts for 107, 0.000 -60
           60.000 bay 107 hears B at -60
           60.999 bay 107 hears B at -60
        => 61.499 B counts for 107, 60.000 -60
    """)


def test_two_reads_must_be_of_the_same_bay() -> None:
    Evening().plays("""
           0.000 bay 107 hears A at -60
           0.100 bay 108 hears A at -60
           5.000 bay 107 hears B at -60
           5.100 bay 107 hears C at -60
    """)


def test_two_ports_of_one_bay_confirm_each_other() -> None:
    Evening().plays("""
           0.000 bay 109 hears A at -64
           0.050 bay 109 left hears A at -59
        => 0.550 A counts for 109, 0.000 -59
    """)


# Whose ball


def test_a_weak_neighbour_that_hears_it_first_does_not_get_it() -> None:
    Evening().plays("""
           0.000 bay 201 hears A at -72
           0.480 bay 202 hears A at -60
        => 0.500 A counts for 202, 0.480 -60
           0.900 bay 201 hears A at -72
    """)


def test_within_the_hysteresis_the_first_keeps_it() -> None:
    Evening().plays("""
           0.000 bay 201 hears A at -66
           0.200 bay 202 hears A at -60
        => 0.500 A counts for 201, 0.000 -66
    """)


def test_one_decibel_more_takes_it() -> None:
    Evening().plays("""
           0.000 bay 201 hears A at -67
           0.200 bay 202 hears A at -60
        => 0.500 A counts for 202, 0.200 -60
    """)


def test_the_strongest_read_of_the_window_stands_for_a_bay() -> None:
    Evening().plays("""
           0.000 bay 201 hears A at -75
           0.100 bay 202 hears A at -60
           0.300 bay 201 hears A at -65
           0.400 bay 201 hears A at -71
        => 0.500 A counts for 201, 0.000 -65
    """)


def test_a_bay_first_heard_after_the_window_is_too_late() -> None:
    Evening().plays("""
           0.000 bay 201 hears A at -75
        => 0.500 A counts for 201, 0.000 -75
           0.500 bay 202 hears A at -40
           0.900 bay 202 hears A at -40
    """)


def test_of_three_bays_the_first_near_the_loudest_gets_it() -> None:
    Evening().plays("""
           0.000 bay 201 hears A at -60
           0.100 bay 202 hears A at -56
           0.200 bay 203 hears A at -53
        => 0.500 A counts for 202, 0.100 -56
    """)


def test_a_loud_bay_that_was_heard_once_is_waited_for() -> None:
    """Two reads of a neighbour in one visit, then the ball's own bay at one read per 0.48 s."""
    Evening().plays("""
           0.000 bay 107 hears A at -72
           0.045 bay 107 hears A at -71
           0.480 bay 108 hears A at -58
           0.960 bay 108 hears A at -57
        => 0.960 A counts for 108, 0.480 -57
    """)


def test_the_wait_for_a_loud_bay_ends() -> None:
    """What was heard once there was a bit error in the port: the credit comes all the same."""
    Evening().plays("""
           0.000 bay 107 hears A at -72
           0.045 bay 107 hears A at -71
           0.480 bay 108 hears A at -58
           1.200 bay 109 hears A at -30
        => 1.480 A counts for 107, 0.000 -71
    """)


def test_the_wait_is_bounded_even_when_single_reads_go_on() -> None:
    Evening().plays("""
           0.000 bay 107 hears A at -72
           0.045 bay 107 hears A at -71
           0.490 bay 108 hears A at -58
           0.540 bay 109 hears A at -58
           1.000 bay 107 hears A at -71
           1.500 bay 108 hears A at -58
        => 1.545 A counts for 107, 0.000 -71
           2.400 bay 108 hears A at -58
    """)


def test_the_wait_counts_from_the_latest_read_of_any_of_its_ports() -> None:
    Evening().plays("""
           0.000 bay 109 left hears A at -60
           1.000 bay 107 hears A at -72
           1.045 bay 107 hears A at -72
           1.200 bay 109 hears A at -58
           2.199 bay 109 hears A at -58
        => 2.199 A counts for 109, 0.000 -58
    """)


def test_a_loud_bit_error_can_win_the_ball_for_a_bay_that_overhears_it() -> None:
    """The price of taking the maximum: a strength is believed at one read, an EPC is not."""
    Evening().plays("""
           0.098 bay 108 hears A at -33
           0.440 bay 108 hears A at -70
           0.484 bay 109 hears A at -33
           0.873 bay 109 hears A at -36
        => 0.940 A counts for 108, 0.098 -33
    """)


def test_a_quiet_bay_that_was_heard_once_is_not_waited_for() -> None:
    Evening().plays("""
           0.000 bay 107 hears A at -62
           0.045 bay 107 hears A at -62
           0.480 bay 108 hears A at -58
        => 0.545 A counts for 107, 0.000 -62
           0.960 bay 108 hears A at -57
    """)


def test_where_nobody_can_object_the_credit_comes_at_once() -> None:
    routes = [Route("crc", 1, Tee("201")), Route("crc", 2, Tee("201")), Route("crc", 7, Pit("S2_1"))]
    Evening(routes=routes).plays("""
           0.000 bay 201 hears A at -60
        => 0.000 A counts for 201, 0.000 -60
    """)


def test_without_dbm_nobody_is_louder_and_the_first_keeps_it() -> None:
    Evening().plays("""
           0.000 bay 301 hears A raw 70
           0.100 bay 302 hears A raw 110
           0.200 bay 201 hears A at -30
        => 0.500 A counts for 301, 0.000 raw 70
    """)


# Present, absent, again


def test_a_ball_that_lies_there_for_an_hour_counts_once() -> None:
    evening = Evening()
    reads = "\n".join(f"{0.5 + n}.000 bay 201 hears A at -60".replace(".5.000", ".500") for n in range(3_600))
    evening.plays(f"""
           0.000 bay 201 hears A at -60
        => 0.500 A counts for 201, 0.000 -60
        {reads}
    """)


def test_it_counts_again_after_two_minutes_of_absence() -> None:
    Evening().plays("""
             0.000 bay 201 hears A at -60
        =>   0.500 A counts for 201, 0.000 -60
             3.000 bay 202 hears A at -60
           122.999 bay 202 hears A at -60
           242.999 bay 202 hears A at -60
        => 243.499 A counts for 202, 242.999 -60
    """)


def test_reads_too_weak_to_count_still_prove_that_it_lies_there() -> None:
    Evening().plays("""
             0.000 bay 107 hears A at -74
             0.300 bay 107 hears A at -74
        =>   0.800 A counts for 107, 0.000 -74
            90.000 bay 107 hears A at -76
           180.000 bay 107 hears A at -76
           240.000 bay 107 hears A at -75
           240.300 bay 107 hears A at -75
    """)


def test_single_reads_still_prove_that_it_lies_there() -> None:
    Evening().plays("""
             0.000 bay 107 hears A at -70
             0.300 bay 107 hears A at -70
        =>   0.800 A counts for 107, 0.000 -70
            90.000 bay 107 hears A at -70
           180.000 bay 107 hears A at -70
           240.000 bay 107 hears A at -70
           240.300 bay 107 hears A at -70
    """)


def test_a_return_frees_it_at_once() -> None:
    Evening().plays("""
            0.000 bay 201 hears A at -60
        =>  0.500 A counts for 201, 0.000 -60
           40.000 return hears A at -50
           40.100 return hears A at -50
           60.000 bay 202 hears A at -60
        => 60.500 A counts for 202, 60.000 -60
           70.000 bay 202 hears A at -60
    """)


def test_a_return_wants_its_confirmation_and_its_strength() -> None:
    Evening().plays("""
            0.000 bay 201 hears A at -60
        =>  0.500 A counts for 201, 0.000 -60
           40.000 return hears A at -50
           50.000 return hears A at -76
           50.100 return hears A at -76
           60.000 bay 201 hears A at -60
    """)


def test_a_return_that_overhears_the_tee_frees_nothing() -> None:
    """The tee goes on hearing the ball after the return did, so it never went."""
    Evening().plays("""
            0.000 bay 201 hears A at -60
        =>  0.500 A counts for 201, 0.000 -60
            1.500 return hears A at -74
            1.600 return hears A at -74
            1.999 bay 201 hears A at -60
           10.000 bay 201 hears A at -60
    """)


def test_a_gap_of_two_seconds_is_an_absence() -> None:
    Evening().plays("""
           0.000 bay 201 hears A at -60
        => 0.500 A counts for 201, 0.000 -60
           1.500 return hears A at -50
           1.600 return hears A at -50
           2.000 bay 201 hears A at -60
        => 2.500 A counts for 201, 2.000 -60
    """)


def test_a_ball_that_waits_at_the_return_was_there_until_it_left() -> None:
    """The tee beside the return hears it pass; it goes on lying at the return, then comes to a tee."""
    Evening().plays("""
            0.000 bay 201 hears A at -60
        =>  0.500 A counts for 201, 0.000 -60
           40.000 return hears A at -50
           40.500 return hears A at -50
           41.000 bay 203 hears A at -70
        => 41.500 A counts for 203, 41.000 -70
           41.900 return hears A at -50
           43.000 return hears A at -50
           50.000 bay 202 hears A at -60
        => 50.500 A counts for 202, 50.000 -60
    """)


def test_reads_below_the_floor_credit_nobody() -> None:
    evening = Evening()
    evening.plays("""
           0.000 bay 107 hears A at -76
           0.300 bay 107 hears A at -76
           0.400 bay 301 hears B raw 39
           3.000 nowhere hears C at -40
           3.100 nowhere hears C at -40
    """)
    counters = evening.engine.counters
    assert (counters.reads, counters.below_floor, counters.unrouted) == (5, 3, 2)


# Restart


def test_a_ball_that_still_lies_there_after_a_restart_does_not_count_again() -> None:
    """It was credited ten minutes ago and lay there until now; nobody knows, so it is assumed."""
    Evening(credited=(("A", "201", -600.0),)).plays("""
             5.000 bay 201 hears B at -60
        =>   5.500 B counts for 201, 5.000 -60
            30.000 bay 201 hears A at -60
           149.999 bay 201 hears A at -60
           269.999 bay 201 hears A at -60
        => 270.499 A counts for 201, 269.999 -60
    """)


def test_after_a_restart_absence_is_counted_from_the_first_reads() -> None:
    Evening(credited=(("A", "201", -3.0),)).plays("""
            50.000 bay 201 hears B at -60
        =>  50.500 B counts for 201, 50.000 -60
           169.999 bay 201 hears A at -60
    """)
    Evening(credited=(("A", "201", -3.0),)).plays("""
            50.000 bay 201 hears B at -60
        =>  50.500 B counts for 201, 50.000 -60
           170.000 bay 201 hears A at -60
        => 170.500 A counts for 201, 170.000 -60
    """)


def test_a_seed_from_another_boots_clock_does_not_block_the_ball_for_ever() -> None:
    Evening(credited=(("A", "201", 90_000.0), ("A", "202", 80_000.0))).plays("""
             0.000 pit S2_1 hears A at -60
        =>   0.000 A of 201 in S2_1, 0.000
           120.000 bay 202 hears A at -60
        => 120.500 A counts for 202, 120.000 -60
    """)


def test_a_return_frees_a_seeded_ball() -> None:
    Evening(credited=(("A", "201", -3.0),)).plays("""
            1.000 return hears A at -50
            1.300 return hears A at -50
           20.000 bay 202 hears A at -60
        => 20.500 A counts for 202, 20.000 -60
    """)


def test_a_reader_that_was_away_heard_no_absence() -> None:
    evening = Evening()
    evening.plays("""
             0.000 bay 201 hears A at -60
             0.000 bay 202 hears B at -60
        =>   0.500 A counts for 201, 0.000 -60
        =>   0.500 B counts for 202, 0.000 -60
           100.000 bay 203 hears C at -60
        => 100.500 C counts for 203, 100.000 -60
    """)
    evening.engine.was_deaf({"201"}, since_ms=110_000, now_ms=300_000)
    evening.plays("""
           300.000 bay 201 hears A at -60
           300.000 bay 202 hears B at -60
        => 300.500 B counts for 202, 300.000 -60
           420.000 bay 201 hears A at -60
        => 420.500 A counts for 201, 420.000 -60
    """)


def test_an_absence_that_was_complete_before_the_reader_went_away_stands() -> None:
    evening = Evening()
    evening.plays("""
             0.000 bay 201 hears A at -60
        =>   0.500 A counts for 201, 0.000 -60
    """)
    evening.engine.was_deaf({"201"}, since_ms=120_000, now_ms=300_000)
    evening.plays("""
           301.000 bay 201 hears A at -60
        => 301.500 A counts for 201, 301.000 -60
    """)


# Pits


def test_a_ball_in_the_pit_is_the_shot_of_the_bay_that_had_it() -> None:
    Evening().plays("""
            0.000 bay 107 hears A at -60
            0.300 bay 107 hears A at -60
        =>  0.800 A counts for 107, 0.000 -60
            5.000 pit S1_1 hears A at -60
            5.100 pit S1_1 hears A at -60
        =>  5.100 A of 107 in S1_1, 5.000
            6.900 pit S1_1 hears A at -60
            8.899 pit S1_1 hears A at -60
           10.899 pit S1_1 hears A at -60
           10.999 pit S1_1 hears A at -60
        => 10.999 A of 107 in S1_1, 10.899
    """)


def test_two_antennas_of_one_pit_tell_once() -> None:
    Evening().plays("""
           0.000 pit S2_1 hears A at -60
        => 0.000 A of None in S2_1, 0.000
           0.100 pit S2_1 rim hears A at -60
           1.900 pit S2_1 rim hears A at -60
           3.800 pit S2_1 hears A at -60
    """)


def test_a_bay_that_only_overheard_the_ball_has_no_part_in_the_shot() -> None:
    Evening().plays("""
           0.000 bay 201 hears A at -60
           0.100 bay 202 hears A at -75
        => 0.500 A counts for 201, 0.000 -60
           0.600 bay 202 hears A at -75
           5.000 pit S2_1 hears A at -60
        => 5.000 A of 201 in S2_1, 5.000
    """)


def test_a_ball_that_was_taken_to_another_bay_is_that_bays_shot_though_it_counts_once() -> None:
    Evening().plays("""
            0.000 bay 201 hears A at -60
        =>  0.500 A counts for 201, 0.000 -60
           30.000 bay 202 hears A at -60
           35.000 pit S2_1 hears A at -60
        => 35.000 A of 202 in S2_1, 35.000
    """)


def test_after_ten_minutes_a_ball_in_the_pit_is_nobodys() -> None:
    Evening().plays("""
             0.000 bay 201 hears A at -60
             0.000 bay 201 hears B at -60
        =>   0.500 A counts for 201, 0.000 -60
        =>   0.500 B counts for 201, 0.000 -60
           599.999 pit S2_1 hears A at -60
        => 599.999 A of 201 in S2_1, 599.999
           600.000 pit S2_1 hears B at -60
        => 600.000 B of None in S2_1, 600.000
    """)


def test_a_single_late_read_does_not_renew_the_claim() -> None:
    """Unconfirmed, so nobody has it: the claim of the bay that had it ends when it would have."""
    Evening().plays("""
             0.000 bay 201 hears A at -60
        =>   0.500 A counts for 201, 0.000 -60
           500.000 bay 107 hears A at -60
           700.000 pit S2_1 hears A at -60
        => 700.000 A of None in S2_1, 700.000
    """)


def test_a_single_late_read_does_not_end_the_claim_either() -> None:
    Evening().plays("""
             0.000 bay 201 hears A at -60
        =>   0.500 A counts for 201, 0.000 -60
           500.000 bay 107 hears A at -60
           550.000 pit S2_1 hears A at -60
        => 550.000 A of 201 in S2_1, 550.000
    """)


def test_a_decision_at_the_tee_is_none_for_the_pit() -> None:
    Evening().plays("""
           0.000 bay 201 hears A at -60
           0.100 pit S1_1 hears A at -60
        => 0.500 A counts for 201, 0.000 -60
           0.900 pit S1_1 hears A at -60
        => 0.900 A of 201 in S1_1, 0.100
    """)


def test_a_restart_keeps_the_claim() -> None:
    Evening(credited=(("A", "201", -60.0),)).plays("""
           1.000 pit S2_1 hears A at -60
        => 1.000 A of 201 in S2_1, 1.000
    """)


# Foreign tags


def test_a_foreign_tag_is_told_once_an_hour_and_place() -> None:
    Evening().plays("""
              0.000 bay 201 hears X at -50
        =>    0.000 X is foreign at 201
              0.100 bay 201 hears X at -50
              0.200 bay 202 hears X at -50
        =>    0.200 X is foreign at 202
           3599.999 bay 201 hears X at -50
           3600.000 bay 201 hears X at -50
        => 3600.000 X is foreign at 201
    """)


def test_a_foreign_tag_wants_its_confirmation_too() -> None:
    Evening().plays("""
           0.000 bay 107 hears X at -50
           1.000 bay 107 hears X at -50
           1.100 bay 108 hears X at -50
           1.200 bay 107 hears X at -76
           1.900 bay 107 hears X at -50
        => 1.900 X is foreign at 107
           2.000 pit S1_1 hears Y at -50
           2.100 pit S1_1 hears Y at -50
        => 2.100 Y is foreign at S1_1
    """)


def test_a_ball_that_was_retired_while_it_waited_does_not_count() -> None:
    evening = Evening()
    evening.engine.feed([Sighting("crc", 1, EPCS["A"], -60, 69, 1)], 0)
    evening.engine.register(frozenset(BALLS.values()) - {EPCS["A"]})
    evening.plays("""
            1.000 bay 201 hears B at -60
        =>  1.500 B counts for 201, 1.000 -60
           10.000 bay 201 hears A at -60
        => 10.000 A is foreign at 201
    """)


def test_a_ball_that_comes_back_into_the_list_is_not_counted_twice_for_it() -> None:
    evening = Evening()
    evening.plays("""
           0.000 bay 201 hears A at -60
        => 0.500 A counts for 201, 0.000 -60
    """)
    evening.engine.register(frozenset())
    evening.plays("""
           100.000 bay 201 hears A at -60
        => 100.000 A is foreign at 201
    """)
    evening.engine.register(frozenset(BALLS.values()))
    evening.plays("""
           200.000 bay 201 hears A at -60
           320.000 bay 201 hears A at -60
        => 320.500 A counts for 201, 320.000 -60
    """)


# Routes


def test_a_port_that_is_moved_credits_its_new_bay_and_what_was_heard_stays() -> None:
    evening = Evening()
    evening.engine.feed([Sighting("crc", 1, EPCS["A"], -60, 69, 1)], 0)
    moved = [Route("crc", 1, Tee("999")), Route("crc", 2, Tee("202"))]
    evening.engine.reroute(moved)
    evening.plays("""
            0.100 bay 201 hears A at -60
        =>  0.500 A counts for 201, 0.000 -60
            1.000 bay 201 hears A at -60
           10.000 bay 201 hears B at -60
        => 10.500 B counts for 999, 10.000 -60
           20.000 bay 107 hears C at -60
    """)


def test_new_routes_that_change_nothing_disturb_nothing() -> None:
    evening = Evening()
    evening.engine.feed([Sighting("crc", 7, EPCS["B"], -60, 69, 1)], 0)
    evening.plays("""
           0.100 bay 107 hears A at -60
    """)
    evening.engine.reroute(ROUTES)
    evening.now_ms = 400
    evening.plays("""
           0.400 pit S2_1 hears B at -60
           0.500 bay 107 hears A at -60
        => 1.000 A counts for 107, 0.100 -60
    """)


def test_other_rules_hold_from_the_next_decision_on() -> None:
    """What is decided stays: the ball on the tee does not count again because absence is shorter now."""
    evening = Evening()
    evening.plays("""
           0.000 bay 107 hears A at -60
           0.100 bay 107 hears A at -60
        => 0.600 A counts for 107, 0.000 -60
    """)
    evening.engine.change_rules(PresenceRules(recount_after_s=10, arbitration_ms=100))
    evening.plays("""
           1.000 bay 107 hears A at -60
          12.000 bay 107 hears A at -60
          12.100 bay 107 hears A at -60
        => 12.200 A counts for 107, 12.000 -60
    """)


def test_a_port_with_two_places_is_refused_by_name_and_the_old_routes_stay() -> None:
    evening = Evening()
    with pytest.raises(ValueError, match=r"reader crc port 1 is routed twice.*201.*202"):
        evening.engine.reroute([Route("crc", 1, Tee("201")), Route("crc", 1, Tee("202"))])
    evening.plays("""
           0.000 bay 107 hears A at -60
           0.100 bay 107 hears A at -60
        => 0.600 A counts for 107, 0.000 -60
    """)


# Bounds


def test_the_longest_unheard_ball_is_forgotten_first_and_counted() -> None:
    evening = Evening(PresenceRules(max_balls=3))
    evening.plays("""
           0.000 bay 201 hears A at -60
           0.100 bay 201 hears B at -60
           0.200 bay 201 hears C at -60
           0.300 bay 201 hears A at -60
        => 0.500 A counts for 201, 0.000 -60
        => 0.600 B counts for 201, 0.100 -60
        => 0.700 C counts for 201, 0.200 -60
           3.000 bay 201 hears D at -60
        => 3.500 D counts for 201, 3.000 -60
           4.000 bay 201 hears A at -60
           4.000 bay 201 hears C at -60
    """)
    assert evening.engine.counters.balls_evicted == 1


def test_balls_that_no_longer_matter_make_room_uncounted() -> None:
    evening = Evening(PresenceRules(max_balls=2))
    evening.plays("""
             0.000 bay 201 hears A at -60
        =>   0.500 A counts for 201, 0.000 -60
           600.000 bay 201 hears B at -60
        => 600.500 B counts for 201, 600.000 -60
           601.000 bay 201 hears C at -60
        => 601.500 C counts for 201, 601.000 -60
    """)
    assert evening.engine.counters.balls_evicted == 0


def test_a_ball_that_only_a_pit_hears_is_not_forgotten_either() -> None:
    Evening(PresenceRules(max_balls=2)).plays("""
           998.000 bay 201 hears B at -60
        => 998.500 B counts for 201, 998.000 -60
           1000.000 pit S2_1 hears A at -60
        => 1000.000 A of None in S2_1, 1000.000
           1000.500 bay 201 hears C at -60
        => 1001.000 C counts for 201, 1000.500 -60
           1001.500 pit S2_1 hears A at -60
    """)


def test_late_calls_keep_even_the_order_of_decisions() -> None:
    """A waits for a loud bay beyond B's decision; asked late, the engine must not tell A first."""
    heard = [
        (0, Sighting("a0", 1, EPCS["A"], -72, 57, 2)),
        (10, Sighting("a0", 1, EPCS["A"], -72, 57, 2)),
        (300, Sighting("a0", 2, EPCS["A"], -58, 71, 2)),
        (400, Sighting("crc", 1, EPCS["B"], -60, 69, 1)),
    ]
    told: list[list[Outcome]] = []
    for moments in ([510, 900, 1_300], [5_000]):
        engine = PresenceEngine(ROUTES, frozenset(BALLS.values()))
        for at_ms, sighting in heard:
            assert engine.feed([sighting], at_ms) == []
        told.append([outcome for at_ms in moments for outcome in engine.due(at_ms)])
    assert told[0] == told[1]
    assert [outcome.epc for outcome in told[0]] == [EPCS["B"], EPCS["A"]]


def test_a_noisy_line_fills_no_memory_and_does_not_wash_out_what_was_told() -> None:
    engine = PresenceEngine(ROUTES, frozenset(BALLS.values()), PresenceRules(max_foreign=10))
    told = engine.feed([Sighting("crc", 1, EPCS["X"], -60, 69, 1)], 0)
    assert told == [ForeignTag(Tee("201"), EPCS["X"], 0)]
    for n in range(1_000):  # a bit error every 100 ms: ten at a time wait for a confirmation
        assert engine.feed([Sighting("a0", 1, f"{n:024X}", -60, 69, 2)], 100 * n) == []
    assert engine.counters.foreign_evicted == 0
    for n in range(1_000):
        assert engine.feed([Sighting("a0", 1, f"{n:024X}", -60, 69, 2)], 100_000 + n) == []
    # Nine of the first kind were still waiting, ten of the second are.
    assert engine.counters.foreign_evicted == 9 + 1_000 - 10
    assert engine.feed([Sighting("crc", 1, EPCS["X"], -60, 69, 1)], 102_000) == []


def test_a_clock_that_steps_back_is_taken_as_standing_still() -> None:
    engine = PresenceEngine(ROUTES, frozenset(BALLS.values()))
    engine.feed([Sighting("crc", 1, EPCS["A"], -60, 69, 1)], 10_000)
    assert engine.feed([Sighting("crc", 1, EPCS["B"], -60, 69, 1)], 9_000) == []
    assert engine.due(9_500) == []
    assert engine.next_due_ms() == 10_500
    counted = engine.due(10_500)
    assert counted == [BallRead("201", EPCS[name], 10_000, -60, 69) for name in "AB"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"absent_after_ms": 1_500}, "absent_after_ms must exceed"),
        ({"recount_after_s": 1}, "recount_after_s must not be shorter"),
        ({"max_balls": 0}, "max_balls must be at least 1"),
        ({"hysteresis_db": -1}, "hysteresis_db must not be negative"),
    ],
)
def test_rules_that_contradict_themselves_are_refused(values: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PresenceRules(**values)
