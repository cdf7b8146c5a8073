"""Acts that race on two processes of the service, on one PostgreSQL: the audit log has one order, and it is signed."""

import json
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.domain.notes import private_pem, verifier_key
from tests.integration.conftest import MakeArchive
from tests.support.archive import Archive
from tests.support.archive_types import OSV, submission, unversioned
from tests.support.second_tree import SecondTree
from tests.support.service import Service, pas

ACTS = 20


@pytest.fixture(scope="module")
def archive(make_archive: MakeArchive) -> Archive:
    pem = private_pem(Ed25519PrivateKey.generate()).decode()
    return make_archive(settings={"jeap.processarchive.evidence.signing-key": pem})


@pytest.fixture(scope="module")
def two(archive: Archive) -> Iterator[list[Service]]:
    with archive.services(2) as services:
        yield services


def entries(service: Service, token: str) -> list[dict[str, object]]:
    """All of them, oldest first."""
    answer = service.api("GET", "/api/audit", token=token, headers={"Accept": "application/x-ndjson"})
    return [json.loads(line) for line in reversed(answer.text.splitlines())]


def test_twenty_acts_at_once_on_two_processes_have_one_order(archive: Archive, two: list[Service]) -> None:
    """Half of them on jobs that both processes act on at the same time."""
    auditor = archive.oidc.token("pas-all")
    shared, ids = uuid4(), [uuid4() for _ in range(ACTS // 2)]
    two[0].submit(shared, unversioned(*(f"shared-{number}" for number in range(5))))
    before = len(entries(two[0], auditor))

    def act(number: int) -> httpx.Response:
        service = two[number % 2]
        if number < len(ids):
            return service.put(ids[number], submission(OSV, unversioned(f"one-{number}")))
        return service.api("POST", f"/api/jobs/{shared}/redrive", token=auditor)

    with ThreadPoolExecutor(ACTS) as threads:
        answers = list(threads.map(act, range(ACTS)))
    assert [each.status_code for each in answers] == [200] * ACTS
    for job_id in (shared, *ids):
        path = f"/api/jobs/{job_id}/evidence"
        two[0].wait("proof", lambda: two[1].api("GET", path, token=auditor).status_code == 200, 90)  # noqa: B023

    found = entries(two[0], auditor)
    assert found == entries(two[1], auditor)
    assert [each["seq"] for each in found] == list(range(len(found)))
    acts = Counter((each["subject"], each["what"]) for each in found[before:])
    redriven = acts.pop((f"job/{shared}", "job.redriven"), 0)  # not logged where the job had completed
    assert redriven <= ACTS // 2
    of_a_job = ("job.submitted", "job.completed", "job.proven")
    assert {act: number for act, number in acts.items() if act[0] != f"job/{shared}"} == {
        (f"job/{job_id}", what): 1 for job_id in ids for what in of_a_job
    }

    proofs = [
        two[place % 2].api("GET", f"/api/audit/proof?seq={place}", token=auditor).json() for place in range(len(found))
    ]
    tree = SecondTree([proof["leaf"].encode() for proof in proofs])
    root = b64encode(tree.mth(0, len(proofs))).decode()
    for service in two:
        origin, size, signed_root = service.api("GET", "/api/audit/checkpoint", token=auditor).text.split("\n")[:3]
        assert origin.endswith("/audit")
        assert (size, signed_root) == (str(len(found)), root)
    for place, (entry, proof) in enumerate(zip(found, proofs, strict=True)):
        assert (proof["index"], b64decode(str(entry["hash"]))) == (place, tree.mth(place, place + 1))
    compared = pas("audit", "verify", "--config", str(archive.config))
    assert compared.returncode == 0, compared.stdout
    stranger = str(verifier_key("psf/pas", Ed25519PrivateKey.generate()))
    compared = pas("audit", "verify", "--config", str(archive.config), "--key", stranger)
    assert compared.returncode == 1
    assert "differs        checkpoint: there is none in the bucket that one of the keys signed" in compared.stdout
