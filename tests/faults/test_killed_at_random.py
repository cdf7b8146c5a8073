"""SIGKILL at random moments of a job, restarted each time: nothing is lost, and nothing is there twice."""

import random
import time
from pathlib import Path
from uuid import uuid4

from tests.faults.conftest import FULL, Scale
from tests.faults.making import MakeArchive, references
from tests.servers.source import Source
from tests.support.archive import SHORT_SESSION
from tests.support.archive_types import unversioned
from tests.support.effects import assert_all_succeeded, assert_one_effect_each, assert_one_idempotence_id_each
from tests.support.embedded import Embedded

LONGEST_DELAY = 0.3
"""Seconds between the outcome that was waited for and the kill: several batches, so any step is hit."""


def moments(dice: random.Random, kills: int, number: int) -> list[tuple[int, float]]:
    """After how many outcomes, and how much later."""
    counts = sorted(dice.sample(range(number // 50, number * 9 // 10), kills))
    return [(count, dice.uniform(0, LONGEST_DELAY)) for count in counts]


def test_a_job_on_real_servers_has_one_effect_for_each_reference_after_kills_at_random_moments(
    make_archive: MakeArchive, scale: Scale, dice: random.Random
) -> None:
    archive, job_id, names = make_archive(), uuid4(), references(scale.references)
    with archive.service(forked=not FULL, constants={} if FULL else SHORT_SESSION) as service:
        service.submit(job_id, unversioned(*names))
        for count, delay in moments(dice, scale.kills, len(names)):
            service.wait_done(job_id, count, 120)
            time.sleep(delay)
            service.kill()
            service.start()
        assert_all_succeeded(service.wait_completed(job_id, 300), names)
    assert_one_effect_each(archive, job_id, names)


def test_an_embedded_job_has_one_effect_for_each_reference_after_kills_at_random_moments(
    tmp_path: Path, source: Source, scale: Scale, dice: random.Random
) -> None:
    with Source(delay_ms=5) as open_source:
        embedded, job_id, names = Embedded(tmp_path, open_source), uuid4(), references(scale.references)
        with embedded.service() as service:
            service.submit(job_id, unversioned(*names))
            for count, delay in moments(dice, scale.kills, len(names)):
                service.wait_done(job_id, count, 120)
                time.sleep(delay)
                service.kill()
                service.start()
            assert_all_succeeded(service.wait_completed(job_id, 300), names)
    versions = embedded.object_versions()
    assert len(versions) == len(names)
    assert set(versions.values()) == {1}
    assert_one_idempotence_id_each([line["value"] for line in embedded.events()], names)
