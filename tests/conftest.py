"""Real servers for all tests: each is started when first asked for and serves the whole session."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from tests.servers import Kafka, Oidc, Postgres, Registry, SeaweedFS, ServerUnavailable
from tests.servers.process import ServerProcess

# Python keeps what it compiled, also where the environment says otherwise, as in many containers: each of hundreds of
# processes would compile all of the service, and pytest all tests, anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

S = TypeVar("S", bound=ServerProcess)
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spreads the files of `faults/`, which mostly wait, over those that mostly work; unit tests, short, come last."""
    files = list(dict.fromkeys(item.path for item in items))
    unit = [path for path in files if HERE / "unit" in path.parents]
    waiting = [path for path in files if HERE / "faults" in path.parents]
    working = [path for path in files if path not in {*unit, *waiting}]
    place = dict.fromkeys(unit, 1.0)
    for part in (waiting, working):
        place |= {path: number / len(part) for number, path in enumerate(part)}
    items.sort(key=lambda item: place[item.path])


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
