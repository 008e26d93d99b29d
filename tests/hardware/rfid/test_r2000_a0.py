"""The 0xA0 framing: golden bytes, every split point, round trips, noise."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.rfid.r2000_a0 import (
    FAST_SWITCH_INVENTORY,
    MAX_DATA,
    PLAUSIBLE_LENGTHS,
    REALTIME_INVENTORY,
    Decoder,
    Frame,
)
from tests.golden.vectors import Vector, load_vectors

VECTORS = load_vectors("a0.vec")
GOOD = [vector for vector in VECTORS if vector.kind != "X"]
BAD = [vector for vector in VECTORS if vector.kind == "X"]
MOST_HELD = 76  # the longest frame that is plausible, less one byte


def label(vector: Vector) -> str:
    return f"{vector.kind} {vector.data[:8].hex(' ')} {vector.note[:30]}"


def tag_frame(number: int, *, command: int = REALTIME_INVENTORY, rssi: int = 0x45) -> Frame:
    """A tag whose EPC is a number; it holds no byte A0."""
    epc = bytes.fromhex("E28011700000020A") + number.to_bytes(4, "big").replace(b"\xa0", b"\xa1")
    return Frame(1, command, b"\x04\x30\x00" + epc + bytes((rssi,)))


def in_pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted({min(cut, len(data)) for cut in cuts}), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def test_the_golden_file_has_all_its_frames() -> None:
    assert len(GOOD) > 50
    assert len(BAD) == 1


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
        assert frames == []
        assert decoder.counters.bad_checksum == 1
        assert decoder.counters.bytes_skipped == len(vector.data)


def test_all_published_frames_in_a_row_decode_one_byte_at_a_time() -> None:
    decoder = Decoder()
    stream = b"".join(vector.data for vector in GOOD)
    frames = [frame for byte in stream for frame in decoder.feed(bytes((byte,)))]
    assert [frame.encode() for frame in frames] == [vector.data for vector in GOOD]
    assert decoder.counters.frames == len(GOOD)


@pytest.mark.parametrize("vector", GOOD, ids=label)
def test_every_single_wrong_byte_is_refused(vector: Vector) -> None:
    for index in range(len(vector.data)):
        for flip in (0x01, 0x80, 0xFF):
            wrong = bytearray(vector.data)
            wrong[index] ^= flip
            decoder = Decoder()
            frames = decoder.feed(bytes(wrong)) + [f for _ in wrong for f in decoder.idle()]
            assert Frame(vector.data[2], vector.data[3], vector.data[4:-1]) not in frames


plausible_frames = st.sampled_from(
    [
        (command, length)
        for command, lengths in PLAUSIBLE_LENGTHS.items()
        for length in sorted(lengths | {4})
        if command not in (0x89, 0x8A, 0x8B) or length in (4, 5, 10)
    ]
).flatmap(
    lambda shape: st.builds(
        Frame,
        st.integers(0, 255),
        st.just(shape[0]),
        st.binary(min_size=shape[1] - 3, max_size=shape[1] - 3),
    )
)
tags = st.builds(
    lambda address, command, freq_ant, words, epc, rest: Frame(
        address, command, bytes((freq_ant, words << 3, 0)) + epc[: 2 * words] + rest
    ),
    st.integers(0, 255),
    st.sampled_from([0x89, 0x8A, 0x8B]),
    st.integers(0, 255),
    st.integers(1, 31),
    st.binary(min_size=62, max_size=62),
    st.one_of(st.binary(min_size=1, max_size=1), st.binary(min_size=3, max_size=3)),
)


@given(st.lists(st.one_of(plausible_frames, tags), max_size=30), st.lists(st.integers(0, 1500), max_size=20))
def test_any_frames_in_any_pieces_come_out_as_they_went_in(frames: list[Frame], cuts: list[int]) -> None:
    decoder = Decoder()
    stream = b"".join(frame.encode() for frame in frames)
    decoded = [frame for piece in in_pieces(stream, cuts) for frame in decoder.feed(piece)]
    assert decoded == frames
    assert decoder.counters.bytes_skipped == 0


noise = st.one_of(
    st.binary(max_size=400),
    # Worse than chance: headers, plausible starts and torn frames.
    st.lists(
        st.sampled_from(
            [b"\xa0", b"\xa0\xff", b"\xa0\x13\x01\x89", b"\xa0\x13\x01\x89\x04\x30", b"\xa0\x04\x01"]
        ),
        max_size=40,
    ).map(b"".join),
)


@given(noise, st.lists(st.integers(0, 500), max_size=8))
@settings(max_examples=300)
def test_after_noise_the_buffer_is_bounded_and_the_stream_in_step_again(junk: bytes, cuts: list[int]) -> None:
    # A phantom that checks out by chance is a frame like any other; it takes 75 bytes with it at most.
    good = [tag_frame(number) for number in range(8)]
    decoder = Decoder()
    decoded: list[Frame] = []
    for piece in in_pieces(junk + b"".join(frame.encode() for frame in good), cuts):
        decoded += decoder.feed(piece)
        assert decoder.held <= MOST_HELD
    assert decoded[-4:] == good[-4:]
    assert decoder.held == 0


def test_the_first_good_frame_after_noise_is_not_lost() -> None:
    rng = random.Random(20_260)
    kept = 0
    for number in range(2000):
        decoder = Decoder()
        good = tag_frame(number)
        decoded = decoder.feed(rng.randbytes(rng.randrange(1, 300)))
        decoded += decoder.feed(good.encode())
        while decoder.held:  # the silence after it
            decoded += decoder.idle()
        kept += good in decoded
    assert kept == 2000


@pytest.mark.parametrize("chunk", [1, 16, 256, 4096])
def test_a_junk_burst_before_every_tenth_frame_costs_no_tag(chunk: int) -> None:
    rng = random.Random(10)
    good = [tag_frame(number) for number in range(3000)]
    stream = b"".join(
        (rng.randbytes(3) + b"\xa0\xff" if number % 10 == 0 else b"") + frame.encode()
        for number, frame in enumerate(good)
    )
    decoder = Decoder()
    pieces = [stream[start : start + chunk] for start in range(0, len(stream), chunk)]
    decoded = [frame for piece in pieces for frame in decoder.feed(piece)]
    assert [frame for frame in decoded if frame.command == REALTIME_INVENTORY] == good
    assert decoder.counters.resyncs == 300
    assert decoder.counters.bytes_skipped == 1500


def test_a_phantom_header_does_not_wait_for_its_tail() -> None:
    decoder = Decoder()
    good = tag_frame(1)
    assert decoder.feed(b"\xa0\xff" + good.encode()) == [good]
    assert decoder.counters.bad_length == 1


def test_a_plausible_phantom_gives_way_when_the_line_falls_silent() -> None:
    decoder = Decoder()
    good = tag_frame(1)
    torn = tag_frame(2).encode()[:10]
    assert decoder.feed(torn + good.encode()[:11]) == []
    assert decoder.feed(good.encode()[11:]) == [
        good
    ]  # the phantom's sum is wrong, the frame inside it is found
    assert decoder.feed(torn) == []
    assert decoder.held == 10
    assert decoder.idle() == []
    assert decoder.held == 0
    long_phantom = b"\xa0\x20\x01\x8a"
    assert decoder.feed(long_phantom + good.encode()) == []
    assert decoder.idle() == [good]


def test_a_wrong_length_is_not_trusted_to_skip_by() -> None:
    good = [tag_frame(number) for number in range(3)]
    damaged = bytearray(good[0].encode())
    damaged[1] = 0x1F  # reaches into the next frame
    decoder = Decoder()
    assert decoder.feed(bytes(damaged) + good[1].encode() + good[2].encode()) == good[1:]


def test_a_tag_whose_pc_disagrees_with_len_is_refused() -> None:
    frame = tag_frame(1)
    wrong = frame._replace(data=b"\x04\x20\x00" + frame.data[3:])  # PC says four words, six are there
    decoder = Decoder()
    assert decoder.feed(wrong.encode()) == []
    assert decoder.counters.bad_length >= 1


def test_reopening_forgets_the_unfinished_frame() -> None:
    decoder = Decoder()
    good = tag_frame(7)
    decoder.feed(good.encode()[:12])
    decoder.reset()
    assert decoder.feed(good.encode()) == [good]
    assert decoder.counters.bytes_skipped == 12


def test_a_bad_frame_in_a_batch_costs_only_itself() -> None:
    good = [tag_frame(number, command=FAST_SWITCH_INVENTORY) for number in range(40)]
    damaged = bytearray(good[17].encode())
    damaged[10] ^= 0x10
    stream = b"".join(frame.encode() for frame in good[:17]) + bytes(damaged)
    stream += b"".join(frame.encode() for frame in good[18:])
    decoder = Decoder()
    assert decoder.feed(stream) == good[:17] + good[18:]
    assert decoder.counters.bad_checksum == 1
    assert decoder.counters.bytes_skipped == len(damaged)


def test_a_frame_too_long_to_encode_says_so() -> None:
    with pytest.raises(ValueError, match="at most 252"):
        Frame(1, 0x85, bytes(MAX_DATA + 1)).encode()
