import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from joserfc.jwk import RSAKey

from bayd.reference.qod import register_client
from tests.reference.qod.harness import SECRET, CamaraCaller, Running, TmobileCaller, running


@pytest.fixture(scope="session")
def key() -> RSAKey:
    return RSAKey.generate_key(2048)


@pytest.fixture(scope="session")
def template(key: RSAKey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that knows the clients "bayd" and "rival", both with the same key and secret."""
    db = tmp_path_factory.mktemp("template") / "operator.db"
    for client_id in ("bayd", "rival"):
        register_client(db, client_id, SECRET, key.as_pem(private=False).decode())
    return db


@pytest.fixture
def db(template: Path, tmp_path: Path) -> Path:
    """A file of the test's own."""
    return Path(shutil.copy(template, tmp_path / "operator.db"))


@pytest_asyncio.fixture
async def tmobile(db: Path, key: RSAKey) -> AsyncIterator[TmobileCaller]:
    """A caller with its token at an operator that grants at once."""
    async with running(db, faults=True, requested_delay_s=0.0) as operator:
        caller = TmobileCaller(operator, key)
        await caller.login()
        yield caller


@pytest_asyncio.fixture
async def camara_operator(db: Path) -> AsyncIterator[Running]:
    async with running(db, dialect="camara-1.1", faults=True, requested_delay_s=2.0) as operator:
        yield operator


@pytest_asyncio.fixture
async def camara(camara_operator: Running) -> CamaraCaller:
    """A caller with a token for everything; sessions are REQUESTED for two seconds."""
    caller = CamaraCaller(camara_operator)
    await caller.login()
    return caller
