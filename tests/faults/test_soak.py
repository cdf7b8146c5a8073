"""A long job, embedded and on real servers: what the process holds in memory does not grow with what it has done."""

from pathlib import Path
from uuid import uuid4

from tests.faults.conftest import FULL, Scale
from tests.faults.making import MakeArchive, references
from tests.servers.source import Source
from tests.support.archive_types import unversioned
from tests.support.embedded import Embedded
from tests.support.service import Service

FIRST = 5000 if FULL else 1000
GROWTH = 1.2 if FULL else 1.35
"""The short form is mostly warming up: code paths, connections, arenas of the allocator."""


def resident(service: Service) -> int:
    """Bytes of memory that the process has."""
    assert service.process is not None
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))


def assert_flat(service: Service, number: int) -> None:
    """One job after the other, as many references as the first; then the memory is that after the first, nearly."""
    after: list[int] = []
    for part in range(0, number, FIRST):
        job_id = uuid4()
        service.submit(job_id, unversioned(*(f"{part}-{name}" for name in references(FIRST))))
        service.wait("completed", lambda job_id=job_id: service.job(job_id)["state"] == "completed", 600)  # type: ignore[misc]
        assert service.job(job_id)["counts"]["failed"] == 0
        after.append(resident(service))
    print(" ".join(f"{size / 1e6:.0f}" for size in after), "MB")  # noqa: T201
    assert after[-1] <= after[0] * GROWTH


def test_memory_is_flat_on_real_servers(make_archive: MakeArchive, scale: Scale) -> None:
    with make_archive().service() as service:
        assert_flat(service, scale.soak)


def test_memory_is_flat_embedded(tmp_path: Path, scale: Scale) -> None:
    with Source(delay_ms=5) as source, Embedded(tmp_path, source).service() as service:
        assert_flat(service, scale.soak)
