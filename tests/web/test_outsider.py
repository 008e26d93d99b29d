"""What an outsider tries first: each is refused and logged, and nothing has changed.

The doors' own tests (test_doors, test_listener) try the variants; this is the list.
"""

import pytest

from bayd.settings import is_loopback
from bayd.web.app import ListenRefusedError, check_listen
from tests.web.house import OTHER_SCREEN, SCREEN, STAFF, TECHNICIAN, House
from tests.web.test_doors import head, raw, status_of

HELP = "/api/v1/bays/109/help"
JSON = ("Idempotency-Key: outsider", "Content-Type: application/json")
ME = f"Authorization: Bearer {SCREEN}"
STAFFS = f"Authorization: Bearer {STAFF}"
EMPTY = "Content-Length: 2"

TRIES: dict[str, tuple[bytes, int]] = {
    "no token": (head("POST", HELP, *JSON, EMPTY) + b"{}", 401),
    "an unknown token": (head("POST", HELP, "Authorization: Bearer guess", *JSON, EMPTY) + b"{}", 401),
    "wrong role": (
        head("POST", HELP, f"Authorization: Bearer {TECHNICIAN}", *JSON, EMPTY) + b"{}",
        403,
    ),
    "another bay's token": (
        head("POST", HELP, f"Authorization: Bearer {OTHER_SCREEN}", *JSON, EMPTY) + b"{}",
        403,
    ),
    "foreign origin": (head("POST", HELP, ME, *JSON, EMPTY, "Origin: http://evil.example.com") + b"{}", 403),
    "dns rebinding": (head("POST", HELP, ME, *JSON, EMPTY, host="evil.example.com") + b"{}", 421),
    "oversized body": (head("POST", HELP, ME, *JSON, "Content-Length: 1000000000"), 413),
    "a body that drips": (head("POST", HELP, ME, *JSON, "Content-Length: 10") + b"{", 408),
    "path up": (head("GET", "/static/../../../../etc/passwd", STAFFS), 404),
    "path encoded": (head("GET", "/api/v1/bays/109%2f..%2f110", STAFFS), 404),
}


@pytest.mark.parametrize("name", TRIES)
async def test_an_outsider_is_refused_logged_and_changes_nothing(closed_house: House, name: str) -> None:
    data, status = TRIES[name]
    closed_house.body_within_s = 0.2
    async with closed_house.open() as house:
        await house.play()
        before = await house.state()
        answer = await raw(house, data)
        assert status_of(answer) == status
        refusals = [facts for _, event, facts in house.log.lines if event == "request_refused"]
        assert len(refusals) == 1
        assert not any(secret in str(house.log.lines) for secret in (SCREEN, STAFF, "guess", "passwd"))
        assert await house.state() == before


@pytest.mark.parametrize("address", ["0.0.0.0:8470", "[::]:8470", "192.0.2.1:8470"])
def test_a_listener_beyond_loopback_without_tls_never_opens(address: str) -> None:
    with pytest.raises(ListenRefusedError, match="without TLS"):
        check_listen([address], trusted_lan=False)
    assert not is_loopback(address.rpartition(":")[0])
