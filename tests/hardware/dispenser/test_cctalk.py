"""The ccTalk codec: golden frames, every split, noise, round trips, the echo, the replies."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.dispenser import Level, cctalk
from hardware.dispenser.cctalk import (
    Checksum,
    CollisionError,
    Decoder,
    EchoRemover,
    Frame,
    HopperFlag,
    HopperStatus,
)
from hardware.dispenser.malformed import MalformedReplyError
from tests.hardware.dispenser.vectors import Vector, load

VECTORS = load("cc.vec")
RIGHT = [vector for vector in VECTORS if vector.kind != "X"]
WRONG = [vector for vector in VECTORS if vector.kind == "X"]
CRC_FRAME = bytes.fromhex("28 00 46 01 3F")  # ccTalk generic specification, CRC example

payloads = st.binary(max_size=cctalk.MAX_DATA)
addresses = st.integers(0, 255)


def test_the_golden_file_is_whole() -> None:
    assert (len(RIGHT), len(WRONG)) == (38, 1)


@pytest.mark.parametrize("vector", RIGHT, ids=str)
def test_golden_frames_decode_at_every_split_and_encode_back(vector: Vector) -> None:
    for split in range(len(vector.raw) + 1):
        decoder = Decoder()
        frames = decoder.feed(vector.raw[:split]) + decoder.feed(vector.raw[split:])
        assert [frame.encode() for frame in frames] == [vector.raw]
        assert (decoder.frames, decoder.bad_checksums, decoder.bytes_dropped, decoder.pending) == (1, 0, 0, 0)


@pytest.mark.parametrize("vector", WRONG, ids=str)
def test_frames_printed_wrong_are_refused(vector: Vector) -> None:
    for split in range(len(vector.raw) + 1):
        decoder = Decoder()
        assert decoder.feed(vector.raw[:split]) + decoder.feed(vector.raw[split:]) == []
        assert decoder.bad_checksums == 1


def test_all_golden_frames_in_one_piece_and_byte_by_byte() -> None:
    stream = b"".join(vector.raw for vector in RIGHT)
    whole, single = Decoder(), Decoder()
    expected = [vector.raw for vector in RIGHT]
    assert [frame.encode() for frame in whole.feed(stream)] == expected
    assert [frame.encode() for byte in stream for frame in single.feed(bytes((byte,)))] == expected


def test_the_crc_variant() -> None:
    decoder = Decoder(Checksum.CRC16)
    frame = Frame(dest=40, source=None, header=1, checksum=Checksum.CRC16)
    assert decoder.feed(CRC_FRAME) == [frame]
    assert frame.encode() == CRC_FRAME
    assert Decoder(Checksum.SUM8).feed(CRC_FRAME) == []
    for position in range(len(CRC_FRAME)):
        for bit in range(8):
            broken = bytearray(CRC_FRAME)
            broken[position] ^= 1 << bit
            assert frame not in Decoder(Checksum.CRC16).feed(bytes(broken))


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (cctalk.SIMPLE_POLL, "simple poll"),
        (cctalk.MANUFACTURER, "manufacturer id"),
        (cctalk.PRODUCT, "product code"),
        (cctalk.SERIAL_NUMBER, "serial number"),
        (cctalk.EMPTY_FULL, "read empty/full levels (236)"),
        (cctalk.RESET, "reset device"),
        (cctalk.TEST, "test hopper (163)"),
        (cctalk.ENABLE, "enable hopper (164, 0xA5)"),
        (cctalk.DISABLE, "disable hopper"),
        (cctalk.pump_rng(bytes.fromhex("5B DA AA 6F 9A 5D C5 06")), "pump RNG (161)"),
        (cctalk.CIPHER_KEY, "request cipher key (160)"),
        (cctalk.dispense_with_code(3, bytes.fromhex("63 D9 2A 95 BA D4 35 82")), "dispense 3, encrypted"),
        (cctalk.dispense_with_code(5), "dispense 5, SCH2-NOENCRYPT"),
        (cctalk.dispense_with_serial(0x0AD7DF, 1), "dispense 1, 3-byte serial variant"),
        (cctalk.dispense_with_serial(0x0AD7DF, 20), "dispense 20, serial variant"),
        (cctalk.STATUS, "request hopper status (166)"),
        (cctalk.EMERGENCY_STOP, "emergency stop (172)"),
        (cctalk.HIGH_LOW, "payout hi-lo level (217)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_commands_are_the_golden_ones(command: cctalk.Command, name: str) -> None:
    (golden,) = [vector.raw for vector in RIGHT if vector.meaning.startswith(name)]
    assert command.frame(3).encode() == golden


def test_the_remaining_command_headers() -> None:
    assert cctalk.CATEGORY.frame(2).encode() == bytes.fromhex("02 00 01 F5 08")
    assert cctalk.SOFTWARE.frame(3).encode() == bytes.fromhex("03 00 01 F1 0B")  # Flow p. 12
    assert cctalk.DISPENSE_COUNT.frame(3).header == 168


@given(addresses, addresses, st.integers(0, 255), payloads, st.lists(st.integers(1, 40), max_size=20))
def test_any_frame_comes_back(dest: int, source: int, header: int, data: bytes, cuts: list[int]) -> None:
    for frame in (Frame(dest, source, header, data), Frame(dest, None, header, data, Checksum.CRC16)):
        raw, decoder, found = frame.encode(), Decoder(frame.checksum), []
        for cut in cuts:
            found += decoder.feed(raw[:cut])
            raw = raw[cut:]
        assert found + decoder.feed(raw) == [frame]


@given(st.binary(max_size=2000), st.sampled_from(Checksum))
def test_noise_is_bounded_and_says_nothing_but_summed_frames(noise: bytes, checksum: Checksum) -> None:
    decoder = Decoder(checksum)
    frames = []
    for byte in noise:
        frames += decoder.feed(bytes((byte,)))
        assert decoder.pending < cctalk.MAX_DATA + 5
    assert all(frame.encode() in noise for frame in frames)
    taken = sum(len(frame.encode()) for frame in frames)
    assert taken + decoder.bytes_dropped + decoder.pending == len(noise)
    assert frames == Decoder(checksum).feed(noise)


@given(st.binary(min_size=1, max_size=30))
def test_a_frame_is_found_again_after_noise(noise: bytes) -> None:
    frame = Frame(1, 3, 0, b"\x01\x00\x14\x00")
    decoder = Decoder()
    # Noise may look like the beginning of a frame of up to 257 bytes, which must fill before it is refused.
    frames = decoder.feed(noise + frame.encode() * 60)
    assert frames[-1] == frame
    decoder.reset()
    assert (decoder.pending, decoder.feed(frame.encode())) == (0, [frame])


def test_frames_that_cannot_be_sent() -> None:
    with pytest.raises(ValueError, match="252"):
        Frame(3, 1, 167, bytes(253)).encode()
    with pytest.raises(ValueError, match="source"):
        Frame(3, None, 167).encode()
    with pytest.raises(ValueError, match="256"):
        cctalk.dispense_with_serial(1, 256)
    with pytest.raises(ValueError, match="8 bytes"):
        cctalk.dispense_with_code(1, b"\x00")


@pytest.mark.parametrize("split", range(20))
def test_the_echo_is_taken_off_the_front(split: int) -> None:
    sent, reply = cctalk.dispense_with_code(5).frame(3).encode(), b"\x01\x01\x03\x00\x01\xfa"
    remover, wire = EchoRemover(sent), sent + reply
    assert not remover.complete
    assert remover.feed(wire[:split]) + remover.feed(wire[split:]) == reply
    assert remover.complete


@pytest.mark.parametrize("position", range(14))
def test_an_echo_that_differs_in_one_bit_is_a_collision(position: int) -> None:
    sent = bytearray(cctalk.dispense_with_code(5).frame(3).encode())
    remover = EchoRemover(bytes(sent))
    sent[position] ^= 0x10
    with pytest.raises(CollisionError):
        for byte in sent:
            remover.feed(bytes((byte,)))
    assert not remover.complete


def test_replies() -> None:
    assert cctalk.parse_text(b"Suzo-Happ") == "Suzo-Happ"
    assert cctalk.parse_text(b"x\xff") == "x\\xff"
    assert cctalk.parse_serial(bytes.fromhex("4E 46 05")) == 345678
    assert cctalk.parse_count(bytes.fromhex("01 00 01")) == 65537
    assert cctalk.parse_event(b"\x07") == 7
    assert cctalk.parse_status(bytes.fromhex("01 02 01 00")) == HopperStatus(
        event=1, remaining=2, paid=1, unpaid=0
    )


def test_flags_by_name() -> None:
    assert cctalk.parse_flags(bytes.fromhex("80 80")) == {HopperFlag.DISABLED, HopperFlag.PIN_ENABLED}
    assert cctalk.parse_flags(b"\x42") == {HopperFlag.PAYOUT_TIMEOUT, HopperFlag.POWER_UP}
    assert cctalk.parse_flags(bytes.fromhex("21 41 FF")) == {
        HopperFlag.OVER_CURRENT,
        HopperFlag.OPTO_BLOCKED_PAYOUT,
        HopperFlag.OPTO_SHORT_PAYOUT,
        HopperFlag.POWER_FAIL,
    }
    assert cctalk.parse_flags(b"\x00\x00") == frozenset()


@pytest.mark.parametrize(
    ("bits", "level"),
    [
        (0x11, Level.LOW),
        (0x31, Level.LOW),
        (0x10, Level.OK),
        (0x32, Level.FULL),
        (0x22, Level.FULL),
        (0x20, Level.UNKNOWN),  # not full is all that is known
        (0x01, Level.UNKNOWN),  # no sensor is fitted
        (0x03, Level.UNKNOWN),
    ],
)
def test_high_low_is_believed_only_where_a_sensor_is_fitted(bits: int, level: Level) -> None:
    assert cctalk.parse_high_low(bytes((bits,))) is level


@pytest.mark.parametrize(
    ("bits", "level"), [(3, Level.EMPTY), (2, Level.OK), (0, Level.FULL), (1, Level.UNKNOWN)]
)
def test_empty_full(bits: int, level: Level) -> None:
    assert cctalk.parse_empty_full(bytes((bits,))) is level


@pytest.mark.parametrize(
    ("parse", "size"),
    [
        (cctalk.parse_serial, 3),
        (cctalk.parse_count, 3),
        (cctalk.parse_event, 1),
        (cctalk.parse_remaining, 1),
        (cctalk.parse_status, 4),
        (cctalk.parse_high_low, 1),
        (cctalk.parse_empty_full, 1),
    ],
)
def test_a_reply_of_another_size_is_refused(parse: Callable[[bytes], object], size: int) -> None:
    for wrong in {0, size - 1, size + 1}:
        with pytest.raises(MalformedReplyError, match=str(size)):
            parse(bytes(wrong))


@pytest.mark.parametrize("size", [0, 4])
def test_flags_of_another_size_are_refused(size: int) -> None:
    with pytest.raises(MalformedReplyError, match="1 to 3"):
        cctalk.parse_flags(bytes(size))
