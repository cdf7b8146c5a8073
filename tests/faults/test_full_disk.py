"""The embedded service on a disk that is full or read-only: nothing half written, and the next start is sound."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.faults.making import references
from tests.servers.source import Source
from tests.support.archive_types import OSV, submission, unversioned
from tests.support.effects import assert_all_succeeded, assert_one_idempotence_id_each
from tests.support.embedded import Embedded
from tests.support.service import Service, pas

NAMES = references(20)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own of 20 MB."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting needs root")
    mounted = tmp_path / "disk"
    mounted.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "pas-test", str(mounted)], capture_output=True)
    if done.returncode != 0:
        pytest.skip(f"mount: {done.stderr.decode().strip()}")
    try:
        yield mounted
    finally:
        subprocess.run(["umount", "-l", str(mounted)], check=True)


@pytest.fixture
def embedded(disk: Path) -> Iterator[Embedded]:
    with Source(delay_ms=50) as source:
        yield Embedded(disk, source)


def fill(disk: Path) -> Path:
    """Takes what is left, to the last byte."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while file.write(b"\0" * size):
                    pass
            except OSError:
                continue
    return ballast


def assert_refused(answer: httpx.Response) -> None:
    assert answer.status_code in (500, 503, 507), answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"


def assert_sound(embedded: Embedded, service: Service) -> None:
    """A second job is done, and every object and event is whole and there once."""
    job_id = uuid4()
    service.submit(job_id, unversioned("after"))
    assert_all_succeeded(service.wait_completed(job_id), ["after"])
    assert set(embedded.object_versions().values()) == {1}
    assert not list((embedded.data_dir / "objects").glob("**/*.tmp"))
    verified = pas("verify", *embedded.arguments)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_a_submission_on_a_full_disk_is_refused_and_leaves_nothing(embedded: Embedded, disk: Path) -> None:
    job_id, body = uuid4(), submission(OSV, unversioned(*references(20_000)))
    with embedded.service() as service:
        ballast = fill(disk)
        assert_refused(service.put(job_id, body))
        assert service.running
        assert service.api("GET", f"/api/jobs/{job_id}").status_code == 404
        service.kill()
        ballast.unlink()
        service.start()
        assert service.api("GET", f"/api/jobs/{job_id}").status_code == 404
        assert_sound(embedded, service)


def test_a_job_waits_while_the_disk_is_full_and_goes_on_when_there_is_room(embedded: Embedded, disk: Path) -> None:
    job_id, names = uuid4(), references(400)
    with embedded.service() as service:
        service.submit(job_id, unversioned(*names))
        service.wait_done(job_id, 20)
        ballast = fill(disk)
        service.wait("named", lambda: bool(service.ready()[1]["problems"]))
        assert service.running
        ballast.unlink()
        assert_all_succeeded(service.wait_completed(job_id), names)
        service.wait("nothing is named", lambda: not service.ready()[1]["problems"], 90)
        assert set(embedded.object_versions().values()) == {1}


def test_a_read_only_directory_is_said_at_the_start_and_nothing_is_changed(embedded: Embedded, disk: Path) -> None:
    job_id = uuid4()
    with embedded.service() as service:
        service.submit(job_id, unversioned(*NAMES))
        assert_all_succeeded(service.wait_completed(job_id), NAMES)
        service.stop()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    refused = pas("serve", "--port", "0", *embedded.arguments)
    assert refused.returncode == 1
    assert refused.stderr.strip().splitlines()[-1].startswith("pas: ")
    assert "Traceback" not in refused.stderr
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    with embedded.service() as service:
        assert_all_succeeded(service.report(job_id), NAMES)
        assert_sound(embedded, service)
    assert_one_idempotence_id_each([line["value"] for line in embedded.events()], [*NAMES, "after"])
