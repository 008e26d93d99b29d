"""Ports on loopback where nobody listens, and where nobody will by accident."""

import itertools
import os
import random
import socket

_BELOW_THOSE_GIVEN_TO_ANYBODY = 32_768  # Linux: net.ipv4.ip_local_port_range begins here
_OF_EACH_WORKER = 300

_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw8").removeprefix("gw"))
_begin = _BELOW_THOSE_GIVEN_TO_ANYBODY - (_worker % 9 + 1) * _OF_EACH_WORKER
_in_turn = itertools.cycle(range(_begin, _begin + _OF_EACH_WORKER))
# Another run on this machine begins elsewhere, whatever the seed.
_first = next(itertools.islice(_in_turn, random.SystemRandom().randrange(_OF_EACH_WORKER), None))


def free_port() -> int:
    """Another one at each call: no other worker's, and none that the kernel gives to who asks for any."""
    for port in itertools.islice(_in_turn, _OF_EACH_WORKER):
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"no free port from {_begin} to {_begin + _OF_EACH_WORKER}")
