"""What the UHFReader288 frames mean: published replies, the antenna byte; and the commands byte for byte."""

import pytest

from hardware.rfid import uhf288_commands as commands
from hardware.rfid.uhf288_replies import (
    HeartbeatReply,
    InfoReply,
    InventoryFailedReply,
    PortPowersReply,
    Reply,
    ReturnLossReply,
    StatisticsReply,
    StatusReply,
    TagBlock,
    TagsReply,
    ThresholdReply,
    UnknownReply,
    interpret,
    port_of,
    status_name,
    type_name,
)
from hardware.rfid.uhfreader288 import Decoder, Frame
from tests.golden.vectors import load_vectors

PUBLISHED = {vector.data for vector in load_vectors("ch.vec") if vector.kind != "X"}


def published(digits: str) -> Frame:
    data = bytes.fromhex(digits)
    assert data in PUBLISHED
    (frame,) = Decoder().feed(data)
    return frame


def one(
    port: int | None, epc: str, rssi: int | None, *, pushed: bool = False, more: bool = True
) -> TagsReply:
    return TagsReply((TagBlock(port, epc, rssi, None),), pushed, more, port)


@pytest.mark.parametrize(
    ("digits", "expected"),
    [
        (
            "15 00 01 03 01 01 0C 00 00 00 00 00 00 00 00 00 00 03 13 6B B1 A5",
            one(1, "000000000000000000000313", 0x6B),
        ),
        (
            "15 00 01 03 01 01 0C 30 39 60 63 03 C7 43 80 00 1A 05 59 40 F9 3E",
            one(1, "3039606303C74380001A0559", 0x40),
        ),
        (
            "15 00 01 03 80 01 0C E2 80 11 70 00 00 02 0A 7D 00 12 34 45 09 BF",
            one(8, "E28011700000020A7D001234", 0x45),
        ),
        (
            "23 00 01 03 01 02 0C 00 00 00 00 00 00 00 00 00 00 03 13 6B"
            " 0C 00 00 00 00 00 00 00 00 00 00 03 14 6C 70 F2",
            TagsReply(
                (
                    TagBlock(1, "000000000000000000000313", 0x6B, None),
                    TagBlock(1, "000000000000000000000314", 0x6C, None),
                ),
                False,
                True,
                1,
            ),
        ),
        (
            "13 00 01 03 01 0C 00 00 00 00 00 00 00 00 00 00 03 13 3F 39",
            one(None, "000000000000000000000313", None),
        ),
        (
            "13 00 01 03 01 0C 49 44 00 00 00 00 00 00 0A 00 03 34 A5 FB",
            one(None, "4944000000000000" + "0A000334", None),
        ),
        (
            "14 00 EE 00 80 0C E2 80 11 70 00 00 02 0A 7D 00 12 34 45 8C 2C",
            one(8, "E28011700000020A7D001234", 0x45, pushed=True, more=False),
        ),
        ("07 00 01 01 01 00 1E 4B", TagsReply((), False, False, 1)),
        ("07 00 01 01 80 00 0A DE", TagsReply((), False, False, 8)),
        ("05 00 01 F8 69 0F", InventoryFailedReply(0xF8)),
        (
            "11 00 21 00 00 16 0C 03 4E 00 1E 0A 01 00 00 00 E6 51",
            InfoReply(0, 22, 0x0C, 30, 1000),
        ),
        (
            "11 00 21 00 02 01 62 02 31 80 21 00 01 01 00 00 CD E0",
            InfoReply(2, 1, 0x62, 33, 0),
        ),
    ],
)
def test_published_replies(digits: str, expected: Reply) -> None:
    assert interpret(published(digits), 8) == expected


EPC = bytes(range(12))
TID = bytes(range(100, 112))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x26\x02\x00\x19\x00\x00\x00\x05", StatisticsReply(2, 25, 5)),
        (b"\xfb", InventoryFailedReply(0xFB)),
        (b"\xfb\x01\x00", InventoryFailedReply(0xFB)),
        (b"\x01", TagsReply((), False, False, None)),
        # EPC and TID in one block: the last twelve bytes are the TID.
        (
            b"\x03\x01\x01\x98" + EPC + TID + b"\x50",
            TagsReply((TagBlock(1, EPC.hex().upper(), 0x50, TID.hex().upper()),), False, True, 1),
        ),
        # Phase and frequency behind the RSSI.
        (b"\x03\x01\x01\x4c" + EPC + b"\x50" + bytes(7), one(1, EPC.hex().upper(), 0x50)),
        # What does not fill the frame is not guessed at.
        (b"\x03\x01\x02\x0c" + EPC + b"\x50", UnknownReply(Frame(0, 1, b"\x03\x01\x02\x0c" + EPC + b"\x50"))),
    ],
)
def test_documented_inventory_replies(data: bytes, expected: Reply) -> None:
    assert interpret(Frame(0, 0x01, data), 8) == expected


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (Frame(0, 0xEE, b"\x28" + bytes(4) + bytes(8) + b"\x00\x00\x00\x07"), HeartbeatReply(7)),
        (Frame(0, 0x94, bytes((0, 20, 20, 20, 20))), PortPowersReply((20, 20, 20, 20))),
        (Frame(0, 0x91, b"\x00\x0c"), ReturnLossReply(12)),
        (Frame(0, 0x6E, b"\x00\x03"), ThresholdReply(3)),
        (Frame(0, 0x2F, b"\x00"), StatusReply(0x2F, 0)),
        (Frame(0, 0x94, b"\xfe"), StatusReply(0x94, 0xFE)),
        (Frame(0, 0x21, b"\x00\x01\x05\x09\x03\x4e\x00\x1e\x0a"), InfoReply(1, 5, 0x09, 30, 1000)),
        (Frame(0, 0x21, b"\x00\x01"), UnknownReply(Frame(0, 0x21, b"\x00\x01"))),
        (Frame(0, 0x21, b""), UnknownReply(Frame(0, 0x21, b""))),
    ],
)
def test_documented_replies(frame: Frame, expected: Reply) -> None:
    assert interpret(frame, 4) == expected


@pytest.mark.parametrize("port_count", [1, 4, 8])
def test_the_antenna_byte_is_one_bit_up_to_eight_ports(port_count: int) -> None:
    assert [port_of(1 << port - 1, port_count) for port in range(1, port_count + 1)] == list(
        range(1, port_count + 1)
    )
    assert port_of(0, port_count) is None
    assert port_of(3, port_count) is None
    assert port_of(1 << port_count, port_count) is None


@pytest.mark.parametrize("port_count", [12, 16])
def test_the_antenna_byte_is_an_index_above(port_count: int) -> None:
    assert [port_of(port - 1, port_count) for port in range(1, port_count + 1)] == list(
        range(1, port_count + 1)
    )
    assert port_of(port_count, port_count) is None


def test_an_unknown_type_and_an_unknown_status_have_a_name() -> None:
    assert type_name(0x20) == "UHFReader288MP"
    assert type_name(0xC7) == "type 0xc7"
    assert status_name(0xF8) == "antenna error"
    assert status_name(0xC7) == "unknown status 0xc7"


@pytest.mark.parametrize(
    ("frame", "digits"),
    [
        (commands.get_info(), "04 FF 21 19 95"),
        (commands.poll_reader18(), "04 FF 01 1B B4"),
        (commands.poll_reader18(0), "04 00 01 DB 4B"),
        (commands.poll(1, scan_time_ms=2000, address=0), "09 00 01 04 00 00 80 14 DD 23"),
        (commands.poll(2, scan_time_ms=2000, address=0), "09 00 01 04 00 00 81 14 05 3A"),
        (commands.poll(4, scan_time_ms=2000, address=0), "09 00 01 04 00 00 83 14 B5 09"),
        (commands.poll(1, scan_time_ms=1000, q=1, address=0), "09 00 01 01 00 00 80 0A 76 FC"),
        (commands.poll(8, scan_time_ms=1000, address=0), "09 00 01 04 00 00 87 0A 2A 97"),
        (commands.poll_all(address=0), "06 00 01 04 00 AC 36"),
        (commands.set_power((30,), 0), "05 00 2F 1E 72 34"),
        (commands.set_power((20,), 0), "05 00 2F 14 28 9B"),
        (commands.set_power((20,) * 8, 0), "0C 00 2F 14 14 14 14 14 14 14 14 7D DC"),
        (commands.get_port_powers(0), "04 00 94 FF 88"),
        (
            commands.set_antennas(frozenset({1, 2, 3, 4}), 4, volatile=False, address=0),
            "05 00 3F 0F EB A0",
        ),
        (
            commands.set_antennas(frozenset(range(1, 9)), 8, volatile=False, address=0),
            "07 00 3F 00 00 FF D2 E5",
        ),
        (commands.set_work_mode(0, 0), "05 00 76 00 62 C9"),
    ],
)
def test_commands_are_the_published_bytes(frame: Frame, digits: str) -> None:
    assert bytes.fromhex(digits) in PUBLISHED
    assert frame.encode() == bytes.fromhex(digits)


def test_a_volatile_antenna_mask_is_marked_as_such() -> None:
    assert commands.set_antennas(frozenset({2}), 4).data == b"\x82"
    assert commands.set_antennas(frozenset({9, 16}), 16).data == b"\x01\x81\x00"


def test_baud_rates_have_their_documented_codes() -> None:
    codes = {rate: commands.set_baudrate(rate).data[0] for rate in (9600, 19200, 38400, 57600, 115200)}
    assert codes == {9600: 0, 19200: 1, 38400: 2, 57600: 5, 115200: 6}


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: commands.set_power((34,)), "power 34 dBm"),
        (lambda: commands.set_power((20, 20)), "give one, or one for each"),
        (lambda: commands.poll(17, scan_time_ms=100), "port 17"),
        (lambda: commands.poll(1, scan_time_ms=150), "multiple of 100"),
        (lambda: commands.poll(1, scan_time_ms=100, q=16), "Q 16"),
        (lambda: commands.set_antennas(frozenset({5}), 4), "1 to 4"),
        (lambda: commands.set_baudrate(4800), "baud rate 4800"),
        (lambda: commands.set_work_mode(3), "work mode 3"),
        (lambda: commands.measure_return_loss(0, 866_300), "port 0"),
    ],
)
def test_what_the_wire_cannot_say_is_refused_by_name(build: object, text: str) -> None:
    assert callable(build)
    with pytest.raises(ValueError, match=text):
        build()
