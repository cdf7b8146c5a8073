"""The core with a signer, for the tests of evidence."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.evidence.signer import Signer
from tests.support.core import Core, opened_core


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Core]:
    async with opened_core(tmp_path) as core:
        yield core


@pytest.fixture(scope="session")
def signer() -> Signer:
    return Signer("psf/archive", Ed25519PrivateKey.generate())
