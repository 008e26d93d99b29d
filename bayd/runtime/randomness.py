"""The real source of chance."""

import random
import secrets
import uuid


class SystemRandomness:
    """Implements `bayd.ports.Randomness`."""

    def new_id(self) -> str:
        return secrets.token_hex(16)

    def new_uuid(self) -> str:
        return str(uuid.uuid4())

    def jitter(self) -> float:
        return random.random()  # noqa: S311 # spreads retries, keeps no secret
