"""The Modbus RTU codec: golden frames, every split, noise, round trips, an independent peer."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.register_message import ReadHoldingRegistersResponse

from hardware.dispenser import modbus
from hardware.dispenser.malformed import MalformedReplyError
from hardware.dispenser.modbus import Decoder, Frame, Request, Side
from tests.hardware.dispenser.vectors import Vector, load

VECTORS = load("mb.vec")


def test_the_golden_file_is_whole() -> None:
    assert len(VECTORS) == 16


def test_the_check_value_of_the_crc() -> None:
    assert modbus.crc16(b"123456789") == 0x4B37


@pytest.mark.parametrize("vector", VECTORS, ids=str)
def test_golden_frames_decode_at_every_split_and_encode_back(vector: Vector) -> None:
    for split in range(len(vector.raw) + 1):
        decoder = Decoder()
        frames = decoder.feed(vector.raw[:split]) + decoder.feed(vector.raw[split:])
        assert [frame.encode() for frame in frames] == [vector.raw]
        assert (decoder.frames, decoder.bad_checksums, decoder.bytes_dropped, decoder.pending) == (1, 0, 0, 0)


@pytest.mark.parametrize("vector", VECTORS, ids=str)
def test_a_flipped_bit_is_refused(vector: Vector) -> None:
    for bit in range(8 * len(vector.raw)):
        broken = bytearray(vector.raw)
        broken[bit // 8] ^= 1 << bit % 8
        assert Decoder().feed(bytes(broken)) == []


def test_all_golden_frames_in_one_piece_and_byte_by_byte() -> None:
    stream = b"".join(vector.raw for vector in VECTORS)
    expected = [vector.raw for vector in VECTORS]
    whole, single = Decoder(), Decoder()
    assert [frame.encode() for frame in whole.feed(stream)] == expected
    assert [frame.encode() for byte in stream for frame in single.feed(bytes((byte,)))] == expected


@pytest.mark.parametrize(
    ("unit", "request_", "meaning"),
    [
        (1, modbus.write_coil(0, modbus.COIL_ON), "coil 0 on (Waveshare board notes)"),
        (1, modbus.write_coil(0, modbus.COIL_OFF), "coil 0 off"),
        (1, modbus.write_coil(0x200, 7), "FLASH-ON relay 0 for 7"),
        (1, modbus.write_coil(0x200, 1), "flash-on 100 ms"),
        (1, modbus.read_bits(0, 8), "read 8 coils"),
        (0x11, modbus.read_registers(0x6B, 3), "Modbus spec example read"),
        (0x11, modbus.write_coil(0xAC, modbus.COIL_ON), "Modbus spec example write coil"),
        (1, modbus.write_register(1, 3), "write register 1 = 3"),
        (1, modbus.read_registers(0, 10), "read 10 registers"),
        (1, modbus.write_register(0, 25), "write register 0 = 25"),
        (1, modbus.read_registers(0, 3), "read 3 registers"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_requests_are_the_golden_ones(unit: int, request_: Request, meaning: str) -> None:
    (golden,) = [vector.raw for vector in VECTORS if vector.meaning.startswith(meaning)]
    assert request_.frame(unit).encode() == golden


def test_writing_several_registers_is_the_example_of_the_standard() -> None:
    """Application protocol V1.1b3, 6.12."""
    request = modbus.write_registers(1, [0x000A, 0x0102])
    assert request.data == bytes.fromhex("00 01 00 02 04 00 0A 01 02")
    assert request.answered_by(17, Frame(17, 0x10, bytes.fromhex("00 01 00 02")))
    assert not request.answered_by(17, Frame(17, 0x10, bytes.fromhex("00 01 00 03")))
    assert not request.answered_by(17, Frame(18, 0x10, bytes.fromhex("00 01 00 02")))


def test_answers_and_exceptions() -> None:
    (frame,) = Decoder(Side.REPLIES).feed(bytes.fromhex("01 03 06 00 19 00 00 00 00 3C B7"))
    assert modbus.read_registers(0, 3).answered_by(1, frame)
    assert not modbus.read_registers(0, 2).answered_by(1, frame)
    assert modbus.parse_registers(frame.data) == (25, 0, 0)
    (refusal,) = Decoder(Side.REPLIES).feed(bytes.fromhex("01 85 02 C3 51"))
    assert modbus.write_coil(0, 0).answered_by(1, refusal)
    assert not modbus.write_register(0, 0).answered_by(1, refusal)
    assert refusal.exception is not None
    assert modbus.exception_name(refusal.exception) == "illegal data address"
    assert modbus.exception_name(77) == "exception 77"


def test_bits() -> None:
    (frame,) = Decoder(Side.REPLIES).feed(bytes.fromhex("01 01 01 80 50 28"))
    assert modbus.parse_bits(frame.data, 8) == (False,) * 7 + (True,)
    for wrong in (b"", b"\x02\x80", b"\x00"):
        with pytest.raises(MalformedReplyError):
            modbus.parse_bits(wrong, 8)
    for wrong in (b"", b"\x02\x80", b"\x01\x00"):
        with pytest.raises(MalformedReplyError):
            modbus.parse_registers(wrong)


words = st.integers(0, 0xFFFF)
units = st.integers(1, 247)
requests = st.one_of(
    st.builds(modbus.read_registers, words, st.integers(1, 125)),
    st.builds(modbus.read_bits, words, st.integers(1, 2000), inputs=st.booleans()),
    st.builds(modbus.write_coil, words, words),
    st.builds(modbus.write_register, words, words),
    st.builds(modbus.write_registers, words, st.lists(words, min_size=1, max_size=123)),
)


def registers_reply(values: list[int]) -> Frame:
    return Frame(1, 3, bytes((2 * len(values),)) + b"".join(value.to_bytes(2, "big") for value in values))


replies = st.one_of(
    st.builds(registers_reply, st.lists(words, min_size=1, max_size=125)),
    st.builds(lambda fc, code: Frame(1, fc | 0x80, bytes((code,))), st.integers(1, 6), st.integers(1, 11)),
    st.builds(Frame, units, st.sampled_from([5, 6, 15, 16]), st.binary(min_size=4, max_size=4)),
)


def in_pieces(decoder: Decoder, raw: bytes, cuts: list[int]) -> list[Frame]:
    found = []
    for cut in cuts:
        found += decoder.feed(raw[:cut])
        raw = raw[cut:]
    return found + decoder.feed(raw)


@given(units, requests, st.lists(st.integers(1, 40), max_size=20))
def test_any_request_comes_back(unit: int, request: Request, cuts: list[int]) -> None:
    frame = request.frame(unit)
    assert in_pieces(Decoder(Side.REQUESTS), frame.encode(), cuts) == [frame]


@given(replies, st.lists(st.integers(1, 40), max_size=20))
def test_any_reply_comes_back(frame: Frame, cuts: list[int]) -> None:
    assert in_pieces(Decoder(Side.REPLIES), frame.encode(), cuts) == [frame]


@given(units, st.lists(words, min_size=1, max_size=125))
def test_an_independent_peer_writes_the_same_bytes(unit: int, values: list[int]) -> None:
    pdu = ReadHoldingRegistersResponse(dev_id=unit, registers=values)
    raw = FramerRTU(DecodePDU(False)).buildFrame(pdu)
    (frame,) = Decoder(Side.REPLIES).feed(raw)
    assert modbus.parse_registers(frame.data) == tuple(values)
    assert frame.encode() == raw


@given(st.binary(max_size=2000), st.sampled_from(Side))
def test_noise_is_bounded_and_says_nothing_but_summed_frames(noise: bytes, side: Side) -> None:
    decoder, frames = Decoder(side), []
    for byte in noise:
        frames += decoder.feed(bytes((byte,)))
        assert decoder.pending < modbus.MAX_FRAME
    assert all(frame.encode() in noise for frame in frames)
    taken = sum(len(frame.encode()) for frame in frames)
    assert taken + decoder.bytes_dropped + decoder.pending == len(noise)
    assert frames == Decoder(side).feed(noise)


@given(st.binary(min_size=1, max_size=30))
def test_a_frame_is_found_again_after_noise(noise: bytes) -> None:
    frame = Frame(1, 3, bytes.fromhex("06 00 19 00 00 00 00"))
    decoder = Decoder(Side.REPLIES)
    # Noise may look like the beginning of a frame of up to 256 bytes, which must fill before it is refused.
    assert decoder.feed(noise + frame.encode() * 60)[-1] == frame
    decoder.reset()
    assert (decoder.pending, decoder.feed(frame.encode())) == (0, [frame])


@pytest.mark.parametrize(
    "build",
    [
        lambda: modbus.read_registers(0, 126),
        lambda: modbus.read_bits(0, 0),
        lambda: modbus.write_registers(0, []),
        lambda: modbus.write_register(0, 65536),
        lambda: modbus.write_coil(-1, 0),
        lambda: Frame(1, 3, bytes(253)).encode(),
    ],
)
def test_requests_that_cannot_be_sent(build: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"not|at most"):
        build()
