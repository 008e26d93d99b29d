"""The UHFReader288 framing: golden bytes, every split point, round trips, noise."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.rfid.uhfreader288 import MAX_DATA, PLAUSIBLE_LENGTHS, Decoder, Frame, crc16
from tests.golden.vectors import Vector, load_vectors

VECTORS = load_vectors("ch.vec")
GOOD = [vector for vector in VECTORS if vector.kind != "X"]
BAD = [vector for vector in VECTORS if vector.kind == "X"]
MOST_HELD = 255


def label(vector: Vector) -> str:
    return f"{vector.kind} {vector.data[:8].hex(' ')} {vector.note[:30]}"


def tag_frame(number: int) -> Frame:
    """A tag on antenna 1 whose EPC is a number."""
    epc = bytes.fromhex("E28011700000020A") + number.to_bytes(4, "big")
    return Frame(0, 0x01, b"\x03\x01\x01\x0c" + epc + b"\x6b")


def in_pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted({min(cut, len(data)) for cut in cuts}), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def by_the_book(data: bytes) -> int:
    """The checksum as the manual's C routine has it."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0x8408 if crc & 1 else crc >> 1
    return crc


def test_the_golden_file_has_all_its_frames() -> None:
    assert len(GOOD) > 30
    assert len(BAD) == 1


def test_the_check_value_of_crc_16_mcrf4xx() -> None:
    assert crc16(b"123456789") == 0x6F91


@given(st.binary(max_size=300))
def test_the_quick_checksum_is_the_documented_one(data: bytes) -> None:
    assert crc16(data) == by_the_book(data)


@pytest.mark.parametrize("vector", GOOD, ids=label)
def test_a_published_frame_decodes_at_every_split_point_and_encodes_back(vector: Vector) -> None:
    for cut in range(len(vector.data) + 1):
        decoder = Decoder()
        frames = decoder.feed(vector.data[:cut]) + decoder.feed(vector.data[cut:])
        assert [frame.encode() for frame in frames] == [vector.data]
        assert decoder.counters.bytes_skipped == 0
        assert decoder.held == 0


@pytest.mark.parametrize("vector", BAD, ids=label)
def test_a_wrong_checksum_is_refused_at_every_split_point(vector: Vector) -> None:
    for cut in range(len(vector.data) + 1):
        decoder = Decoder()
        frames = decoder.feed(vector.data[:cut]) + decoder.feed(vector.data[cut:])
        while decoder.held:
            frames += decoder.idle()
        assert frames == []
        assert decoder.counters.bad_checksum >= 1
        assert decoder.counters.bytes_skipped == len(vector.data)


def test_all_published_frames_in_a_row_decode_one_byte_at_a_time() -> None:
    decoder = Decoder()
    stream = b"".join(vector.data for vector in GOOD)
    frames = [frame for byte in stream for frame in decoder.feed(bytes((byte,)))]
    assert [frame.encode() for frame in frames] == [vector.data for vector in GOOD]


@pytest.mark.parametrize("vector", GOOD, ids=label)
def test_every_single_wrong_bit_is_refused(vector: Vector) -> None:
    for index in range(len(vector.data) * 8):
        wrong = bytearray(vector.data)
        wrong[index // 8] ^= 1 << index % 8
        decoder = Decoder()
        frames = decoder.feed(bytes(wrong)) + [f for _ in wrong for f in decoder.idle()]
        assert frames == []


short_frames = st.sampled_from(
    [(command, length) for command, lengths in PLAUSIBLE_LENGTHS.items() for length in sorted(lengths | {5})]
).flatmap(
    lambda shape: st.builds(
        Frame,
        st.integers(0, 255),
        st.just(shape[0]),
        st.binary(min_size=shape[1] - 4, max_size=shape[1] - 4),
    )
)
tags = st.builds(
    lambda address, antenna, epcs: Frame(
        address,
        0x01,
        bytes((3, antenna, len(epcs))) + b"".join(bytes((len(epc),)) + epc + b"\x50" for epc in epcs),
    ),
    st.integers(0, 255),
    st.integers(0, 255),
    st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=7),
)
pushed = st.builds(
    lambda antenna, epc: Frame(0, 0xEE, bytes((0, antenna, len(epc))) + epc + b"\x50"),
    st.integers(0, 255),
    st.binary(min_size=2, max_size=62),
)


@given(
    st.lists(st.one_of(short_frames, tags, pushed), max_size=20), st.lists(st.integers(0, 1500), max_size=20)
)
def test_any_frames_in_any_pieces_come_out_as_they_went_in(frames: list[Frame], cuts: list[int]) -> None:
    decoder = Decoder()
    stream = b"".join(frame.encode() for frame in frames)
    decoded = [frame for piece in in_pieces(stream, cuts) for frame in decoder.feed(piece)]
    assert decoded == frames
    assert decoder.counters.bytes_skipped == 0


noise = st.one_of(
    st.binary(max_size=400),
    # Worse than chance: lengths, plausible starts and torn frames.
    st.lists(
        st.sampled_from(
            [
                b"\xff",
                b"\xff\x00\x01",
                b"\x15\x00\x01\x03\x01\x01\x0c",
                b"\x04\x00",
                b"\xfe\x00\xee\x00\x01\x3e",
            ]
        ),
        max_size=40,
    ).map(b"".join),
)


@given(noise, st.lists(st.integers(0, 900), max_size=8))
@settings(max_examples=300)
def test_after_noise_the_buffer_is_bounded_and_the_stream_in_step_again(junk: bytes, cuts: list[int]) -> None:
    good = [tag_frame(number) for number in range(24)]
    decoder = Decoder()
    decoded: list[Frame] = []
    for piece in in_pieces(junk + b"".join(frame.encode() for frame in good), cuts):
        decoded += decoder.feed(piece)
        assert decoder.held <= MOST_HELD
    while decoder.held:  # the silence after it
        decoded += decoder.idle()
    assert decoded[-24:] == good  # a CRC-16 takes no phantom for good here: not even the first frame is lost


def test_the_first_good_frame_after_noise_is_not_lost() -> None:
    rng = random.Random(288)
    kept = 0
    for number in range(2000):
        decoder = Decoder()
        good = tag_frame(number)
        decoded = decoder.feed(rng.randbytes(rng.randrange(1, 300)))
        decoded += decoder.feed(good.encode())
        while decoder.held:
            decoded += decoder.idle()
        kept += good in decoded
    assert kept == 2000


@pytest.mark.parametrize("chunk", [1, 16, 256, 4096])
def test_a_junk_burst_before_every_tenth_frame_costs_no_tag(chunk: int) -> None:
    rng = random.Random(10)
    good = [tag_frame(number) for number in range(2000)]
    stream = b"".join(
        (rng.randbytes(3) + b"\xa0\xff" if number % 10 == 0 else b"") + frame.encode()
        for number, frame in enumerate(good)
    )
    decoder = Decoder()
    pieces = [stream[start : start + chunk] for start in range(0, len(stream), chunk)]
    decoded = [frame for piece in pieces for frame in decoder.feed(piece)]
    assert decoded == good
    assert decoder.counters.resyncs == 200
    assert decoder.counters.bytes_skipped == 1000


def test_a_phantom_length_does_not_wait_for_its_tail() -> None:
    decoder = Decoder()
    good = tag_frame(1)
    assert decoder.feed(b"\xff\x00\x13" + good.encode()) == [good]
    assert decoder.feed(b"\xff\x00\x01\x7f\x00\x00\x00\x00" + good.encode()) == [good]


def test_a_plausible_phantom_gives_way_when_the_line_falls_silent() -> None:
    decoder = Decoder()
    good = tag_frame(1)
    phantom = b"\xc0\x00\x01\x03\x01\x01\x0c\x00"
    assert decoder.feed(phantom + good.encode()) == []
    frames: list[Frame] = []
    for _ in phantom:
        frames += decoder.idle()
    assert frames == [good]


def test_reopening_forgets_the_unfinished_frame() -> None:
    decoder = Decoder()
    good = tag_frame(7)
    decoder.feed(good.encode()[:12])
    decoder.reset()
    assert decoder.feed(good.encode()) == [good]
    assert decoder.counters.bytes_skipped == 12


def test_a_frame_too_long_to_encode_says_so() -> None:
    with pytest.raises(ValueError, match="at most 251"):
        Frame(0, 0x01, bytes(MAX_DATA + 1)).encode()
