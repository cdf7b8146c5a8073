"""How much is broken: a short form within `make test`, all of it with `PAS_FAULTS=full` (`make test-faults`)."""

import os
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.faults.making import MakeArchive
from tests.integration.conftest import database, migrated
from tests.servers import Kafka, Oidc, Postgres, SeaweedFS
from tests.servers.source import Source
from tests.support.archive import SOURCE_AUDIENCE, Archive

__all__ = ["database", "migrated"]

FULL = os.environ.get("PAS_FAULTS") == "full"
LONGEST_FULL_TEST = 1800
"""Seconds; the usual limit of a test holds for the short form only."""


@dataclass(frozen=True)
class Scale:
    """References of a job, kills, seconds of an outage, references of the soak, seconds of a `Retry-After`; messages of
    the live flow, seconds of an outage of its servers."""

    references: int
    kills: int
    outage: float
    source_outage: float
    soak: int
    retry_after: int
    live: int
    live_outage: float


@pytest.fixture(scope="session")
def scale() -> Scale:
    if FULL:
        return Scale(
            references=5000,
            kills=20,
            outage=60,
            source_outage=30,
            soak=50_000,
            retry_after=60,
            live=5000,
            live_outage=60,
        )
    return Scale(references=300, kills=3, outage=6, source_outage=8, soak=3000, retry_after=12, live=300, live_outage=2)


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> random.Random:
    """Seeded anew each time and printed, to stderr as workers have no other; `PAS_FAULTS_SEED` repeats a run."""
    seed = os.environ.get("PAS_FAULTS_SEED") or str(random.SystemRandom().randrange(10**9))
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n{request.node.name}: PAS_FAULTS_SEED={seed}", file=sys.stderr, flush=True)  # noqa: T201
    return random.Random(seed)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if FULL and here in item.path.parents:
            item.add_marker(pytest.mark.timeout(LONGEST_FULL_TEST))


@pytest.fixture(scope="module")
def source(oidc: Oidc) -> Iterator[Source]:
    """Answers after 5 ms."""
    with Source(delay_ms=5, jwks_uri=oidc.jwks_uri, audience=SOURCE_AUDIENCE) as started:
        yield started


@pytest.fixture(scope="module")
def make_archive(
    tmp_path_factory: pytest.TempPathFactory,
    kafka: Kafka,
    postgres: Postgres,
    s3: SeaweedFS,
    oidc: Oidc,
    source: Source,
) -> MakeArchive:
    """Makes archives; arguments as of `Archive`, other servers may be given too."""

    def make(**arguments: Any) -> Archive:
        servers = {"kafka": kafka, "postgres": postgres, "s3": s3, "oidc": oidc, "source": source}
        return Archive(tmp_path_factory.mktemp("archive"), **{**servers, **arguments})

    return make
