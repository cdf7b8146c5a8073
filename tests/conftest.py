"""Real servers for all tests: each is started when first asked for and serves the whole session."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

from tests.servers import Kafka, Oidc, Postgres, Registry, SeaweedFS, ServerUnavailable
from tests.servers.process import ServerProcess

S = TypeVar("S", bound=ServerProcess)


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    with running(Kafka()) as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running(Postgres()) as server:
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator[SeaweedFS]:
    with running(SeaweedFS()) as server:
        yield server


@pytest.fixture(scope="session")
def oidc() -> Iterator[Oidc]:
    with running(Oidc()) as server:
        yield server


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    with running(Registry()) as server:
        yield server


@contextmanager
def running(server: S) -> Iterator[S]:
    """The started server; without one the test is skipped with the reason, and fails under CI."""
    try:
        server.start()
    except ServerUnavailable as unavailable:
        server.close()
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"{server.name}: {unavailable}")
    try:
        yield server
    finally:
        server.close()
