"""Log lines go their own way: who reads them may hang."""

import os
import threading

from bayd.runtime.log_pipe import LogPipe


class StuckReader:
    """Takes nothing until it is let go."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.lets_go = threading.Event()

    def write(self, line: str) -> None:
        assert self.lets_go.wait(30)
        self.taken.append(line)


def test_what_finds_no_room_is_dropped_and_counted() -> None:
    reader = StuckReader()
    pipe = LogPipe(reader.write, limit_chars=100)
    kept = [pipe.put(f"{number:09}\n") for number in range(15)]
    assert (kept.count(True), kept.count(False)) == (10, 5)
    assert not pipe.flush(0.01)
    assert "5 were dropped" in pipe.warnings()[0]["text"]
    assert pipe.take_dropped() == 0  # there is no room to say so yet
    reader.lets_go.set()
    assert pipe.flush(30)
    assert pipe.take_dropped() == 5
    assert pipe.take_dropped() == 0
    assert pipe.warnings() == []
    assert reader.taken == [f"{number:09}\n" for number in range(10)]


def test_a_reader_that_goes_away_ends_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)

    def write(line: str) -> None:
        os.write(writing, line.encode())  # BrokenPipeError: Python ignores SIGPIPE

    pipe = LogPipe(write)
    try:
        assert pipe.put("one\n")
        assert pipe.put("two\n")
        assert pipe.flush(30)
    finally:
        os.close(writing)
