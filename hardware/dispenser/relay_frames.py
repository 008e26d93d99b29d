"""What serial relay boards are told, and what they say. Pure.

Three protocols without any checksum worth the name; channels count from 1 here and on the boards' print.
Sources: LCUS boards (CH340, "A0" frames; replies differ per board, none is relied upon); KMTronic USB relay
manual; Numato Lab USB relay module user guide (ASCII over CDC, channels from 0 as a hexadecimal digit).
"""

MAX_LCUS_CHANNELS = 8
MAX_KMTRONIC_CHANNELS = 8
MAX_NUMATO_CHANNELS = 16  # one hexadecimal digit


def lcus_set(channel: int, *, on: bool) -> bytes:
    frame = bytes((0xA0, _checked(channel, MAX_LCUS_CHANNELS), on))
    return frame + bytes((sum(frame) & 0xFF,))


def kmtronic_set(channel: int, *, on: bool) -> bytes:
    return bytes((0xFF, _checked(channel, MAX_KMTRONIC_CHANNELS), on))


def kmtronic_read(channel: int) -> bytes:
    return bytes((0xFF, _checked(channel, MAX_KMTRONIC_CHANNELS), 0x03))


def find_kmtronic_state(heard: bytes, channel: int) -> bool | None:
    """`FF ch 00|01` anywhere in what was heard; None: not there yet."""
    for state in (False, True):
        if kmtronic_set(channel, on=state) in heard:
            return state
    return None


def numato_set(channel: int, *, on: bool) -> bytes:
    return f"relay {'on' if on else 'off'} {_numato_digit(channel)}\r".encode()


def numato_read(channel: int) -> bytes:
    return f"relay read {_numato_digit(channel)}\r".encode()


def numato_read_input(gpio: int) -> bytes:
    if not 0 <= gpio <= 31:
        raise ValueError(f"a Numato module has inputs 0 to 31, not {gpio}")
    return f"gpio read {gpio:X}\r".encode()


def numato_answer(heard: bytes, command: bytes) -> str | None:
    """The word between the echo of the command and the prompt; "" for commands without one.

    None: not complete yet. The echo is taken off as a whole: it holds words and digits of its own.
    """
    text = heard.decode("ascii", "replace")
    echo = command.decode("ascii").strip()
    _, found, rest = text.partition(echo)
    if not found or ">" not in rest:
        return None
    return rest.partition(">")[0].strip()


def parse_numato_state(answer: str) -> bool | None:
    """ "on" or "off"; None: something else."""
    return {"on": True, "off": False}.get(answer)


def parse_numato_input(answer: str) -> bool | None:
    return {"1": True, "0": False}.get(answer)


def _numato_digit(channel: int) -> str:
    return f"{_checked(channel, MAX_NUMATO_CHANNELS) - 1:X}"


def _checked(channel: int, channels: int) -> int:
    if not 1 <= channel <= channels:
        raise ValueError(f"this board has channels 1 to {channels}, not {channel}")
    return channel
