"""Our reader decoders beside what can be had on PyPI, on the same bytes.

    python -m tests.bench.bench_decode [--json] [--tags N] [--rounds N]

Peers: pyImpinj 1.2 (0xA0) and wabson.chafon-rfid 1.0.0 (UHFReader288). They are no dependency of bayd;
install them without their pins into a venv of their own and put its site-packages on PYTHONPATH:

    python -m venv /tmp/peers
    /tmp/peers/bin/pip install --no-deps pyImpinj==1.2 wabson.chafon-rfid==1.0.0 libscrc pyserial

Each measurement takes turns with its peer, and medians are shown: the ratio is what counts, not the machine.
"Tags" means port, EPC as text and RSSI of every tag, as the peers give them; "frames" is framing alone. The
noisy stream has a burst of three random bytes and a phantom header (A0 FF) before every tenth frame.
"""

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from hardware.rfid import r2000_a0, r2000_replies, uhf288_replies, uhfreader288

CHUNKS = (16, 256, 4096)
PHANTOM = b"\xa0\xff"
ADDRESS = 1


@dataclass(frozen=True, slots=True)
class Row:
    family: str
    stream: str
    chunk: int
    decoder: str
    tags_per_s: int  # found, not fed: passing a tag over is no speed
    kept_percent: float
    times_peer: float | None  # None: the peer is not installed, or this is the peer


# Streams.


def a0_frames(count: int, rng: random.Random) -> list[bytes]:
    """Tags of four ports; every twentieth is followed by an end of round, as on a real line."""
    frames = []
    for number in range(count):
        data = (
            bytes((rng.randrange(60) << 2 | rng.randrange(4), 0x30, 0))
            + rng.randbytes(12)
            + bytes((rng.randrange(30, 100),))
        )
        frame = r2000_a0.Frame(ADDRESS, 0x89, data).encode()
        if number % 20 == 19:
            frame += r2000_a0.Frame(ADDRESS, 0x89, bytes((0, 0, 20, 0, 0, 0, 20))).encode()
        frames.append(frame)
    return frames


def ch_frames(count: int, rng: random.Random) -> list[bytes]:
    frames = []
    for number in range(count):
        data = bytes((3, 1 << rng.randrange(4), 1, 12)) + rng.randbytes(12) + bytes((rng.randrange(256),))
        frame = uhfreader288.Frame(0, 0x01, data).encode()
        if number % 20 == 19:
            frame += uhfreader288.Frame(0, 0x01, bytes((1, 1, 0))).encode()
        frames.append(frame)
    return frames


def noisy(frames: list[bytes], rng: random.Random) -> bytes:
    return b"".join(
        (rng.randbytes(3) + PHANTOM if number % 10 == 0 else b"") + frame
        for number, frame in enumerate(frames)
    )


def in_chunks(stream: bytes, size: int) -> list[bytes]:
    return [stream[start : start + size] for start in range(0, len(stream), size)]


# Decoders: each takes the chunks and answers how many tags it found.


def a0_tags(chunks: list[bytes]) -> int:
    decoder, found = r2000_a0.Decoder(), 0
    for chunk in chunks:
        for frame in decoder.feed(chunk):
            found += type(r2000_replies.interpret(frame)) is r2000_replies.TagReply
    return found


def a0_framing(chunks: list[bytes]) -> int:
    decoder, found = r2000_a0.Decoder(), 0
    for chunk in chunks:
        for frame in decoder.feed(chunk):
            found += len(frame.data) > 7
    return found


def ch_tags(chunks: list[bytes]) -> int:
    decoder, found = uhfreader288.Decoder(), 0
    for chunk in chunks:
        for frame in decoder.feed(chunk):
            reply = uhf288_replies.interpret(frame, 4)
            if type(reply) is uhf288_replies.TagsReply:
                found += len(reply.tags)
    return found


def ch_framing(chunks: list[bytes]) -> int:
    decoder, found = uhfreader288.Decoder(), 0
    for chunk in chunks:
        for frame in decoder.feed(chunk):
            found += len(frame.data) > 3
    return found


def pyimpinj() -> Callable[[list[bytes]], int]:
    """pyImpinj's protocol, with queues that only count. Raises ImportError."""
    package: Any = import_module("pyImpinj")

    class TagCounter:
        found = 0

        def put(self, item: dict[str, object]) -> None:
            self.found += item.get("type") == "TAG"

    def decode(chunks: list[bytes]) -> int:
        queue = TagCounter()
        protocol = package.ImpinjProtocolFactory(queue, queue, address=ADDRESS)
        for chunk in chunks:
            try:
                protocol.data_received(chunk)
            except IndexError:  # a phantom with an undefined frequency: its reading thread would end here
                protocol.in_packet = False
                protocol.packet.clear()
        return queue.found

    return decode


def chafon() -> Callable[[list[bytes]], int]:
    """chafon-rfid, as its own example reads: frame by frame, a bad one is passed over. Raises ImportError."""
    frames: Any = import_module("chafon_rfid.uhfreader288m")
    transports: Any = import_module("chafon_rfid.transport")

    def decode(chunks: list[bytes]) -> int:
        stream = b"".join(chunks)
        transport = transports.MockTransport(stream)
        found = 0
        while transport.pointer < len(stream):
            try:
                for tag in frames.G2InventoryResponseFrame(transport.read_frame()).get_tag():
                    found += bool(tag.epc)
            except (ValueError, IndexError):
                continue
        return found

    return decode


# Measuring.


@dataclass(frozen=True, slots=True)
class Family:
    name: str
    make_frames: Callable[[int, random.Random], list[bytes]]
    tags: Callable[[list[bytes]], int]
    framing: Callable[[list[bytes]], int]
    peer_name: str
    load_peer: Callable[[], Callable[[list[bytes]], int]]
    share: float  # of the tags asked for: the peers differ a hundredfold in speed


FAMILIES = (
    Family("0xA0", a0_frames, a0_tags, a0_framing, "pyImpinj", pyimpinj, 1.0),
    Family("UHFReader288", ch_frames, ch_tags, ch_framing, "wabson.chafon-rfid", chafon, 0.1),
)


def timed(decode: Callable[[list[bytes]], int], chunks: list[bytes]) -> tuple[float, int]:
    began = time.perf_counter()
    found = decode(chunks)
    return time.perf_counter() - began, found


def measure(family: Family, tags: int, rounds: int, peer: Callable[[list[bytes]], int] | None) -> list[Row]:
    count = max(int(tags * family.share), 100)
    rng = random.Random(1)
    frames = family.make_frames(count, rng)
    decoders = {"bayd, tags": family.tags, "bayd, frames": family.framing}
    if peer is not None:
        decoders[family.peer_name] = peer
    rows = []
    for stream_name, stream in (("clean", b"".join(frames)), ("noisy", noisy(frames, rng))):
        for size in CHUNKS:
            chunks = in_chunks(stream, size)
            seconds: dict[str, list[float]] = {name: [] for name in decoders}
            found: dict[str, int] = {}
            for _ in range(rounds):
                for name, decode in decoders.items():
                    took, found[name] = timed(decode, chunks)
                    seconds[name].append(took)
            medians = {name: statistics.median(times) for name, times in seconds.items()}
            speeds = {name: found[name] / median for name, median in medians.items()}
            for name, speed in speeds.items():
                against = speeds.get(family.peer_name) if name != family.peer_name else None
                rows.append(
                    Row(
                        family.name,
                        stream_name,
                        size,
                        name,
                        round(speed),
                        round(100 * found[name] / count, 2),
                        round(speed / against, 1) if against else None,
                    )
                )
    return rows


def run(tags: int, rounds: int) -> dict[str, object]:
    rows: list[Row] = []
    peers: dict[str, str | None] = {}
    for family in FAMILIES:
        peer = None
        try:
            peer = family.load_peer()
            peers[family.peer_name] = version(family.peer_name)
        except (ImportError, PackageNotFoundError):
            peers[family.peer_name] = None
        rows += measure(family, tags, rounds, peer)
    return {"python": sys.version.split()[0], "peers": peers, "rows": [asdict(row) for row in rows]}


def table(result: dict[str, Any]) -> str:
    lines = [
        f"Python {result['python']}",
        *(
            f"{name}: {'version ' + found if found else 'NOT INSTALLED, nothing to compare with'}"
            for name, found in result["peers"].items()
        ),
        "",
        f"{'family':13} {'stream':6} {'chunk':>5}  {'decoder':19} {'tags/s':>10} {'kept':>8} {'x peer':>7}",
    ]
    for row in result["rows"]:
        times = "" if row["times_peer"] is None else f"{row['times_peer']:.1f}"
        lines.append(
            f"{row['family']:13} {row['stream']:6} {row['chunk']:5}  {row['decoder']:19}"
            f" {row['tags_per_s']:10,} {row['kept_percent']:7.2f}% {times:>7}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Reader decoders beside their peers.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--tags", type=int, default=20_000, help="tags in each stream")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of which the median is shown")
    arguments = parser.parse_args()
    result = run(arguments.tags, arguments.rounds)
    sys.stdout.write((json.dumps(result, indent=2) if arguments.json else table(result)) + "\n")


if __name__ == "__main__":
    main()
