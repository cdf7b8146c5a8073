"""Proofs of jobs in the core: a builder, what lies in the bucket, and who checks it without a line of ours."""

import asyncio
import gzip
import hashlib
from base64 import b64encode
from typing import Any, cast
from uuid import UUID

from app.db import proofs
from app.domain.notes import VerifierKey
from app.domain.proofs import JobProof, checkpoint_key, leaves_key
from app.evidence.builder import ProofBuilder, ProofOptions
from app.evidence.signer import Signer
from app.objectstore import ObjectVersion
from tests.support.core import BUCKET, Core
from tests.support.second_tree import SecondTree


def builder(
    core: Core,
    signer: Signer,
    *,
    database: Any = None,
    objects: Any = None,
    former: tuple[VerifierKey, ...] = (),
    alone: bool = False,
    **changes: Any,
) -> ProofBuilder:
    """Of a process of its own; `database` and `objects` may be tampered with."""
    return ProofBuilder(
        cast("Any", database or core.database),
        cast("Any", objects or core.objects),
        core.process().readiness,
        signer,
        ProofOptions(BUCKET, former, **changes),
        alone=alone,
    )


async def build_all(built: ProofBuilder) -> int:
    """How many were built until none was owed any more."""
    count = 0
    while await built.build_next(asyncio.Event()):
        count += 1
    return count


async def proof_of(core: Core, job_id: UUID) -> JobProof:
    async with core.database.reading() as connection:
        found = await proofs.find(connection, job_id)
    assert found is not None
    return found


async def read(core: Core, key: str, version: str | None = None) -> bytes:
    return b"".join([piece async for piece in core.objects.read(BUCKET, key, version)])


async def lines_in_bucket(core: Core, job_id: UUID) -> list[bytes]:
    text = gzip.decompress(await read(core, leaves_key(job_id)))
    assert text.endswith(b"\n")
    return text.split(b"\n")[:-1]


async def versions_of_proof(core: Core, job_id: UUID) -> list[ObjectVersion]:
    found: list[ObjectVersion] = []
    for key in (leaves_key(job_id), checkpoint_key(job_id)):
        found += await core.objects.versions(BUCKET, key)
    return found


async def check(core: Core, signer: Signer, job_id: UUID) -> None:
    """One proof, whole and as signed, by its own objects and the second implementation."""
    proof = await proof_of(core, job_id)
    tree = SecondTree(await lines_in_bucket(core, job_id))
    root = tree.mth(0, len(tree.leaves))
    note = (await read(core, checkpoint_key(job_id))).decode()
    text, _, signature = note.partition("\n\n")
    origin, size, root_text, content, result = text.split("\n")
    row = await core.job(job_id)
    assert origin == f"{signer.name}/jobs/{job_id}"
    assert size == str(row.total)
    assert root_text == b64encode(root).decode()
    assert content == f"content-hash {row.content_hash.hex()}"
    assert result.startswith("result ")
    assert signature.startswith(f"— {signer.name} ")
    assert (proof.checkpoint, proof.root, proof.size) == (note, root, row.total)
    leaves, checkpoint = await versions_of_proof(core, job_id)  # one version of each
    assert (proof.leaves_version, proof.checkpoint_version) == (leaves.version_id, checkpoint.version_id)
    assert leaves.user_metadata["hash"] == hashlib.sha256(await read(core, leaves_key(job_id))).hexdigest()
