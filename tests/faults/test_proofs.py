"""SIGKILL at random moments around the ends of jobs: each has one proof, whole, and the audit log has no gap; and every
byte of a package counts."""

import gzip
import json
import random
import subprocess
import sys
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.cli.evidence_checks import DIFFERS, check_package
from app.domain.notes import private_pem, read_verifier_key
from tests.faults.conftest import FULL, Scale
from tests.faults.making import MakeArchive
from tests.servers.source import Source
from tests.support.archive import SHORT_SESSION
from tests.support.archive_types import unversioned
from tests.support.embedded import Embedded
from tests.support.second_tree import SecondTree
from tests.support.service import Service, pas

REFERENCES = 20
"""Of each job."""


def killed_around_ends(service: Service, jobs: int, kills: int, dice: random.Random) -> list[UUID]:
    """Submits jobs one after the other; so many of their ends come with a kill, a moment before or after."""
    ids = [uuid4() for _ in range(jobs)]
    with_kill = set(dice.sample(range(jobs), kills))
    for place, job_id in enumerate(ids):
        service.submit(job_id, unversioned(*(f"{place}-{number}" for number in range(REFERENCES))))
        if place in with_kill:
            service.wait_done(job_id, dice.randrange(REFERENCES // 2, REFERENCES + 1))
            time.sleep(dice.uniform(0, 1.5))
            service.kill()
            service.start()
    for job_id in ids:
        service.wait_completed(job_id, 120)
    return ids


def has_proof(service: Service, job_id: UUID) -> Callable[[], bool]:
    return lambda: service.api("GET", f"/api/jobs/{job_id}/evidence").status_code == 200


def check(proof: dict[str, object], leaves: bytes, checkpoint: bytes) -> None:
    """By the second implementation."""
    tree = SecondTree(gzip.decompress(leaves).split(b"\n")[:-1])
    assert len(tree.leaves) == proof["size"] == REFERENCES
    assert proof["root"] == b64encode(tree.mth(0, REFERENCES)).decode()
    assert checkpoint.decode() == proof["checkpoint"]


def test_each_job_of_the_embedded_service_has_one_proof_after_kills_around_its_end(
    tmp_path: Path, scale: Scale, dice: random.Random
) -> None:
    with Source(delay_ms=5) as source:
        embedded = Embedded(tmp_path, source)
        with embedded.service() as service:
            ids = killed_around_ends(service, scale.kills * 2, scale.kills, dice)
            for job_id in ids:
                service.wait(f"proof of {job_id}", has_proof(service, job_id), 90)
                proof = service.api("GET", f"/api/jobs/{job_id}/evidence").json()
                folder = embedded.data_dir / "objects" / "archive" / "evidence" / "jobs" / str(job_id)
                contents = []
                for name in ("leaves.ndjson.gz", "checkpoint"):
                    (version,) = [each for each in (folder / name).iterdir() if each.suffix == ".json"]
                    contents.append(version.with_suffix("").read_bytes())
                check(proof, *contents)
            check_log(service, ids, *embedded.arguments, token=embedded.token)


def test_each_job_on_real_servers_has_one_proof_after_kills_around_its_end(
    make_archive: MakeArchive, scale: Scale, dice: random.Random
) -> None:
    pem = private_pem(Ed25519PrivateKey.generate()).decode()
    archive = make_archive(settings={"jeap.processarchive.evidence.signing-key": pem})
    client = archive.s3.client()
    with archive.service(constants=SHORT_SESSION) as service:
        ids = killed_around_ends(service, scale.kills * 2, scale.kills, dice)
        auditor = archive.oidc.token("pas-all")
        for job_id in ids:
            path = f"/api/jobs/{job_id}/evidence"
            service.wait(f"proof of {job_id}", lambda: _status(service, path, auditor) == 200, 90)  # noqa: B023
            proof = service.api("GET", path, token=auditor).json()
            contents = []
            for key in (proof["leavesKey"], proof["checkpointKey"]):
                (version,) = client.list_object_versions(Bucket=archive.bucket, Prefix=key)["Versions"]
                where = {"Bucket": archive.bucket, "Key": key, "VersionId": version["VersionId"]}
                assert client.get_object_retention(**where)["Retention"]["Mode"] == "COMPLIANCE"
                contents.append(client.get_object(**where)["Body"].read())
            check(proof, *contents)
        check_log(service, ids, "--config", str(archive.config), token=auditor)


def check_log(service: Service, ids: list[UUID], *where: str, token: str) -> None:
    """Each job was submitted, completed and proven once, the numbers have no gap, and the comparison holds."""
    lines = service.api("GET", "/api/audit", token=token, headers={"Accept": "application/x-ndjson"}).text.splitlines()
    entries = [json.loads(line) for line in reversed(lines)]
    assert [each["seq"] for each in entries] == list(range(len(entries)))
    acts = Counter((each["subject"], each["what"]) for each in entries if each["what"] != "service.started")
    of_a_job = ("job.submitted", "job.completed", "job.proven")
    assert acts == {(f"job/{job_id}", what): 1 for job_id in ids for what in of_a_job}
    compared = pas("audit", "verify", *where)
    assert compared.returncode == 0, compared.stdout
    assert "holds          audit log" in compared.stdout
    assert "holds          checkpoint" in compared.stdout


def _status(service: Service, path: str, token: str) -> int:
    return service.api("GET", path, token=token).status_code


def test_every_byte_of_a_package_counts(tmp_path: Path, dice: random.Random) -> None:
    """2,000 places, each changed in turn; 200 in the short form."""
    with Source() as source:
        embedded = Embedded(tmp_path, source)
        with embedded.service() as service:
            job_id = uuid4()
            service.submit(job_id, unversioned(*(f"doc {number}" for number in range(REFERENCES))))
            service.wait_completed(job_id)
            service.wait("proof", has_proof(service, job_id))
            keys = service.api("GET", "/api/evidence/keys").json()["items"]
            package = tmp_path / "F.zip"
            command = [sys.executable, "-m", "app", "evidence", "export", "--job", str(job_id), "--to", str(package)]
            subprocess.run([*command, "--url", service.url, "--access-token", embedded.token], check=True)
    known = [read_verifier_key(keys[0]["key"])]
    assert not [each for each in check_package(package, known) if each.kind == DIFFERS]
    right = package.read_bytes()
    changed_file = tmp_path / "changed.zip"
    for place in dice.sample(range(len(right)), min(2000 if FULL else 200, len(right))):
        changed = bytearray(right)
        changed[place] ^= dice.randrange(1, 256)
        changed_file.write_bytes(changed)
        assert [each for each in check_package(changed_file, known) if each.kind == DIFFERS], f"byte {place}"
