"""What the 0xA0 frames mean: the published replies, the ports, the errors; and the commands byte for byte."""

import pytest

from hardware.rfid import r2000_commands as commands
from hardware.rfid.r2000_a0 import Decoder, Frame
from hardware.rfid.r2000_commands import FastSwitchForm
from hardware.rfid.r2000_replies import (
    AckReply,
    AntennaMissingReply,
    DetectorReply,
    EndOfRoundReply,
    ErrorReply,
    FirmwareReply,
    GroupReply,
    IdentifierReply,
    PowerReply,
    Reply,
    ReturnLossReply,
    TagReply,
    TemperatureReply,
    UnknownReply,
    WorkAntennaReply,
    error_name,
    interpret,
)
from tests.golden.vectors import load_vectors

PUBLISHED = {vector.data for vector in load_vectors("a0.vec") if vector.kind != "X"}


def decode(digits: str) -> Frame:
    (frame,) = Decoder().feed(bytes.fromhex(digits))
    return frame


@pytest.mark.parametrize(
    ("digits", "port", "epc", "dbm", "khz"),
    [
        (
            "A0 13 01 89 04 30 00 E2 00 30 16 66 13 01 21 15 50 74 EF 45 BF",
            1,
            "E200301666130121155074EF",
            -60,
            865_500,
        ),
        (
            "A0 13 01 89 8C 30 00 30 08 33 B2 DD D9 01 40 00 00 00 01 37 BB",
            1,
            "300833B2DDD9014000000001",
            -74,
            916_000,
        ),
        (
            "A0 13 01 89 74 30 00 E2 00 40 74 85 0A 01 03 16 30 70 E1 36 29",
            1,
            "E2004074850A0103163070E1",
            -75,
            913_000,
        ),
        (
            "A0 13 01 89 D4 30 00 30 08 33 B2 DD D9 01 40 00 00 00 01 36 74",
            1,
            "300833B2DDD9014000000001",
            -75,
            925_000,
        ),
        (
            "A0 13 01 8A 1F 30 00 E2 80 11 70 00 00 02 0A 7D 00 12 34 C5 FC",
            8,
            "E28011700000020A7D001234",
            -60,
            902_000,
        ),
        (
            "A0 13 01 8A 1C 30 00 E2 80 11 70 00 00 02 0A 7D 00 12 34 45 7F",
            1,
            "E28011700000020A7D001234",
            -60,
            902_000,
        ),
    ],
)
def test_published_tags(digits: str, port: int, epc: str, dbm: int, khz: int) -> None:
    assert bytes.fromhex(digits) in PUBLISHED
    reply = interpret(decode(digits))
    assert isinstance(reply, TagReply)
    assert (reply.port, reply.epc, reply.rssi_dbm, reply.frequency_khz) == (port, epc, dbm, khz)
    assert reply.phase is None


@pytest.mark.parametrize(
    ("digits", "expected"),
    [
        ("A0 05 01 72 01 09 DE", FirmwareReply(1, 9)),
        ("A0 04 01 74 10 D7", AckReply(0x74)),
        ("A0 04 01 76 10 D5", AckReply(0x76)),
        ("A0 04 01 6C 10 DF", AckReply(0x6C)),
        ("A0 04 01 77 17 CD", PowerReply((23,))),
        ("A0 04 01 89 22 B0", AntennaMissingReply(None)),
        ("A0 05 01 8A 01 22 AD", AntennaMissingReply(2)),
        ("A0 05 01 8A 02 22 AC", AntennaMissingReply(3)),
        ("A0 0A 01 89 00 00 11 00 00 00 05 B6", EndOfRoundReply(5, None, 17)),
        ("A0 0A 01 89 00 00 1B 00 00 00 01 B0", EndOfRoundReply(1, None, 27)),
        ("A0 0A 01 8A 00 00 05 00 00 01 38 8D", EndOfRoundReply(5, 312, None)),
    ],
)
def test_published_replies(digits: str, expected: Reply) -> None:
    assert bytes.fromhex(digits) in PUBLISHED
    assert interpret(decode(digits)) == expected


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (Frame(1, 0x68, b"b9f79d3710da"), IdentifierReply(b"b9f79d3710da")),
        (Frame(1, 0x7B, b"\x01\x29"), TemperatureReply(41)),
        (Frame(1, 0x7B, b"\x00\x05"), TemperatureReply(-5)),
        (
            Frame(1, 0x97, bytes((20, 20, 20, 20, 20, 20, 20, 30))),
            PowerReply((20, 20, 20, 20, 20, 20, 20, 30)),
        ),
        (Frame(1, 0x77, bytes((20, 21, 22, 23))), PowerReply((20, 21, 22, 23))),
        (Frame(1, 0x77, b"\x21"), PowerReply((33,))),
        (Frame(1, 0x77, b"\x22"), ErrorReply(0x77, 0x22)),
        (Frame(1, 0x63, b"\x03"), DetectorReply(3)),
        (Frame(1, 0x7E, b"\x0c"), ReturnLossReply(12)),
        (Frame(1, 0x7E, b"\xee"), ReturnLossReply(None)),
        (Frame(1, 0x7E, b"\x47"), ErrorReply(0x7E, 0x47)),
        (Frame(1, 0x75, b"\x07"), WorkAntennaReply(8)),
        (Frame(1, 0x6D, b"\x01"), GroupReply(1)),
        (Frame(1, 0x8A, b"\x41"), ErrorReply(0x8A, 0x41)),
        (Frame(1, 0x8A, b"\x03\x53"), ErrorReply(0x8A, 0x53)),
        (Frame(1, 0x8A, b"\x10"), AckReply(0x8A)),
        (Frame(1, 0x70, b"\x11"), ErrorReply(0x70, 0x11)),
        (Frame(1, 0x89, b"\x00\x00"), UnknownReply(Frame(1, 0x89, b"\x00\x00"))),
        (Frame(1, 0x90, b"\x01\x02"), UnknownReply(Frame(1, 0x90, b"\x01\x02"))),
        (Frame(1, 0x8A, b""), UnknownReply(Frame(1, 0x8A, b""))),
    ],
)
def test_documented_replies(frame: Frame, expected: Reply) -> None:
    assert interpret(frame) == expected


@pytest.mark.parametrize("port", range(1, 17))
def test_all_sixteen_ports_are_told_apart(port: int) -> None:
    group, low = divmod(port - 1, 8)
    frame = Frame(1, 0x8A, bytes((low & 3, 0x30, 0)) + bytes(12) + bytes((0x45 | (0x80 if low >= 4 else 0),)))
    reply = interpret(frame, group)
    assert isinstance(reply, TagReply)
    assert reply.port == port
    assert reply.rssi_dbm == -60
    assert interpret(Frame(1, 0x8A, bytes((low, 0x22))), group) == AntennaMissingReply(port)


@pytest.mark.parametrize("words", range(1, 32))
def test_epcs_of_every_size_with_and_without_phase(words: int) -> None:
    epc = bytes(range(2 * words))
    plain = Frame(1, 0x8A, bytes((0, words << 3, 0)) + epc + b"\x50")
    phased = plain._replace(data=plain.data + b"\x01\x02")
    for frame, phase in ((plain, None), (phased, 0x0102)):
        (decoded,) = Decoder().feed(frame.encode())
        reply = interpret(decoded)
        assert isinstance(reply, TagReply)
        assert (reply.epc, reply.rssi_dbm, reply.phase) == (epc.hex().upper(), -49, phase)


def test_the_gap_in_the_frequency_table() -> None:
    def khz(index: int) -> int | None:
        reply = interpret(Frame(1, 0x89, bytes((index << 2, 0x30, 0)) + bytes(13)))
        assert isinstance(reply, TagReply)
        return reply.frequency_khz

    assert [khz(index) for index in (0, 6, 7, 59, 60)] == [865_000, 868_000, 902_000, 928_000, None]


def test_every_documented_error_has_a_name() -> None:
    documented = (
        "10 11 20 21 22 23 24 25 31 32 33 34 35 36 37 38 3C 40 41 42 43 44 45 46 47 48 49 4A 4B 4C 4D 4E 4F "
        "50 51 52 53 54 55 56 57 EE"
    )
    names = [error_name(code) for code in bytes.fromhex(documented)]
    assert not any("unknown" in name for name in names)
    assert len(set(names)) == len(names)
    assert error_name(0x99) == "unknown error 0x99"


ALL_EIGHT = dict.fromkeys(range(1, 9), 1)


@pytest.mark.parametrize(
    ("frame", "digits"),
    [
        (commands.get_firmware(1), "A0 03 01 72 EA"),
        (commands.get_firmware(), "A0 03 FF 72 EC"),
        (commands.set_work_antenna(1, 1), "A0 04 01 74 00 E7"),
        (commands.set_work_antenna(8, 1), "A0 04 01 74 07 E0"),
        (commands.set_work_antenna(1), "A0 04 FF 74 00 E9"),
        (commands.set_power((20,), 1), "A0 04 01 76 14 D1"),
        (commands.set_power((20, 20, 20, 20, 20, 20, 20, 30), 1), "A0 0B 01 76 14 14 14 14 14 14 14 1E 34"),
        (commands.set_temporary_power(20, 1), "A0 04 01 66 14 E1"),
        (commands.get_power(address=1), "A0 03 01 77 E5"),
        (commands.get_power(eight_port=True, address=1), "A0 03 01 97 C5"),
        (commands.reset(1), "A0 03 01 70 EC"),
        (commands.get_identifier(1), "A0 03 01 68 F4"),
        (commands.get_temperature(1), "A0 03 01 7B E1"),
        (commands.set_detector(0, 1), "A0 04 01 62 00 F9"),
        (commands.set_detector(3, 1), "A0 04 01 62 03 F6"),
        (commands.get_detector(1), "A0 03 01 63 F9"),
        (commands.measure_return_loss(6, 1), "A0 04 01 7E 06 D7"),
        (commands.set_antenna_group(0, 1), "A0 04 01 6C 00 EF"),
        (commands.realtime_inventory(1, 1), "A0 04 01 89 01 D1"),
        (commands.realtime_inventory(0xFF, 1), "A0 04 01 89 FF D3"),
        (
            commands.fast_switch_inventory(
                dict.fromkeys(range(1, 5), 10), FastSwitchForm.FOUR_PORT, interval_ms=1, repeat=5, address=1
            ),
            "A0 0D 01 8A 00 0A 01 0A 02 0A 03 0A 01 05 94",
        ),
        (
            commands.fast_switch_inventory(ALL_EIGHT, FastSwitchForm.EIGHT_PORT, address=1),
            "A0 15 01 8A 00 01 01 01 02 01 03 01 04 01 05 01 06 01 07 01 00 01 9B",
        ),
        (
            commands.fast_switch_inventory({8: 1}, FastSwitchForm.EIGHT_PORT, address=1),
            "A0 15 01 8A 07 01 FF 00 FF 00 FF 00 FF 00 FF 00 FF 00 FF 00 00 01 BE",
        ),
        (
            commands.fast_switch_inventory(ALL_EIGHT, FastSwitchForm.EIGHT_PORT_LONG, address=1),
            "A0 20 01 8A 00 01 01 01 02 01 03 01 04 01 05 01 06 01 07 01"
            " 00 00 00 00 00 00 01 00 00 00 00 00 01 8F",
        ),
    ],
)
def test_commands_are_the_published_bytes(frame: Frame, digits: str) -> None:
    assert bytes.fromhex(digits) in PUBLISHED
    assert frame.encode() == bytes.fromhex(digits)


def test_a_four_port_request_turns_the_other_slots_off_with_an_id_that_no_reader_has() -> None:
    frame = commands.fast_switch_inventory({2: 3}, FastSwitchForm.FOUR_PORT)
    slots = list(zip(frame.data[0:8:2], frame.data[1:8:2], strict=True))
    assert slots[0] == (1, 3)
    assert all(port > 3 for port, _ in slots[1:])


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: commands.set_power((34,)), "power 34 dBm"),
        (lambda: commands.set_power((20, 20)), "give 1, 4 or 8"),
        (lambda: commands.set_temporary_power(19), "must be 20 to 33"),
        (lambda: commands.set_antenna_group(2), "group 2"),
        (lambda: commands.set_work_antenna(9), "port 9"),
        (lambda: commands.fast_switch_inventory({}, FastSwitchForm.EIGHT_PORT), "at least one port"),
        (lambda: commands.fast_switch_inventory({5: 1}, FastSwitchForm.FOUR_PORT), "port 5"),
        (lambda: commands.fast_switch_inventory({1: 256}, FastSwitchForm.EIGHT_PORT), "stay of port 1"),
        (lambda: commands.measure_return_loss(60), "frequency index 60"),
    ],
)
def test_what_the_wire_cannot_say_is_refused_by_name(build: object, text: str) -> None:
    assert callable(build)
    with pytest.raises(ValueError, match=text):
        build()
