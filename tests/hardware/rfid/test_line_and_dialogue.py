"""Frames over a line, question and answer: what a torn, a foreign and a late frame may not do."""

import asyncio

import pytest

from hardware.link import MemoryLink, memory_pair
from hardware.rfid import TagRead
from hardware.rfid import r2000_commands as commands
from hardware.rfid.dialogue import NoAnswerError
from hardware.rfid.line import FrameLine
from hardware.rfid.r2000_a0 import Decoder, Frame
from hardware.rfid.r2000_dialogue import R2000Dialogue
from hardware.rfid.r2000_replies import FirmwareReply
from hardware.rfid.r2000_settings import R2000Settings
from hardware.rfid.uhf288_dialogue import Uhf288Dialogue
from hardware.rfid.uhf288_polling import Polling, PollOutcome
from hardware.rfid.uhf288_settings import Uhf288Settings
from hardware.rfid.uhfreader288 import Decoder as Decoder288
from hardware.rfid.uhfreader288 import Frame as Frame288

pytestmark = pytest.mark.virtual_time

FIRMWARE = Frame(1, 0x72, b"\x01\x09").encode()
TEMPERATURE = Frame(1, 0x7B, b"\x01\x22").encode()
TAG = Frame(1, 0x8A, bytes.fromhex("043000E20030166613012115507 4EF45".replace(" ", ""))).encode()


def a0() -> tuple[MemoryLink, R2000Dialogue, list[TagRead]]:
    near, far = memory_pair()
    delivered: list[TagRead] = []
    dialogue = R2000Dialogue(FrameLine(near, Decoder()), R2000Settings(), delivered.extend)
    return far, dialogue, delivered


async def test_a_torn_frame_does_not_hold_back_the_good_one_behind_it() -> None:
    loop = asyncio.get_running_loop()
    near, far = memory_pair()
    line = FrameLine(near, Decoder())
    far.write(b"\xa0\x20\x01\x8a" + FIRMWARE)  # a plausible start of 34 bytes, then silence
    frames = await line.receive(loop.time() + 60)
    assert [frame.encode() for frame in frames] == [FIRMWARE]
    assert loop.time() < 1


async def test_draining_ends_when_the_line_is_idle_and_keeps_what_came() -> None:
    loop = asyncio.get_running_loop()
    near, far = memory_pair()
    line = FrameLine(near, Decoder())
    far.write(FIRMWARE)
    loop.call_later(0.015, far.write, TEMPERATURE[:3])
    loop.call_later(0.030, far.write, TEMPERATURE[3:])
    loop.call_later(1.0, far.write, FIRMWARE)
    frames = await line.drain()
    assert [frame.encode() for frame in frames] == [FIRMWARE, TEMPERATURE]
    assert loop.time() == pytest.approx(0.05, abs=0.005)


async def test_draining_a_line_that_never_falls_silent_ends_too() -> None:
    loop = asyncio.get_running_loop()
    near, far = memory_pair()
    line = FrameLine(near, Decoder())

    timers: list[asyncio.TimerHandle] = []

    def chatter() -> None:
        far.write(TEMPERATURE)
        timers.append(loop.call_later(0.01, chatter))

    chatter()
    await line.drain()
    timers[-1].cancel()
    assert 1 < loop.time() < 3


async def test_only_an_answer_to_this_command_answers_it_and_tags_are_not_lost() -> None:
    far, dialogue, delivered = a0()
    far.on_bytes = lambda data: far.write(TEMPERATURE + TAG + FIRMWARE)
    assert await dialogue.firmware() == FirmwareReply(1, 9)
    assert [read.epc for read in delivered] == ["E200301666130121155074EF"]


async def test_a_question_without_an_answer_is_asked_again_then_given_up() -> None:
    loop = asyncio.get_running_loop()
    far, dialogue, _ = a0()
    asked: list[bytes] = []
    far.on_bytes = asked.append
    with pytest.raises(NoAnswerError, match="no answer to command 0x72"):
        await dialogue.firmware()
    assert asked == [commands.get_firmware().encode()] * 3
    assert loop.time() == pytest.approx(3 * 0.5 + 3 * 0.02, abs=0.01)


async def test_a_late_reply_of_another_port_does_not_end_a_poll() -> None:
    loop = asyncio.get_running_loop()
    near, far = memory_pair()
    delivered: list[TagRead] = []
    settings = Uhf288Settings()
    dialogue = Uhf288Dialogue(FrameLine(near, Decoder288()), settings, delivered.extend)
    late = Frame288(0, 0x01, b"\x01\x02\x01\x0c" + bytes(11) + b"\x02\x50").encode()  # done, port 2, a tag
    own = Frame288(0, 0x01, b"\x01\x01\x00").encode()  # done, port 1

    def answer(_: bytes) -> None:
        far.write(late)
        loop.call_later(0.1, far.write, own)

    far.on_bytes = answer
    outcome = await Polling(dialogue, settings).poll(1)
    assert outcome == PollOutcome(listened=frozenset({1}))
    assert loop.time() == pytest.approx(0.1)
    assert [read.port for read in delivered] == [2]  # it was heard there, whoever asked
