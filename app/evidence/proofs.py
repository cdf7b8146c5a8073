"""What the API shows of the proof of a job: checkpoint, leaves, and the proof that a reference is among them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from uuid import UUID

import orjson

from app.db import jobs, proofs
from app.db.database import Database
from app.domain.jobs import JobState
from app.domain.leaves import LeafError, read_leaf
from app.domain.merkle import RangeRoots, includes, inclusion_ranges, leaf_hash
from app.domain.proofs import JobProof, leaves_key
from app.evidence.reading import NoLeaves, lines_of
from app.objectstore import ObjectStore


class NoProof(Exception):
    """There is no such proof; the text says why."""


class UnknownJobOfProof(Exception):
    """There is no such job."""


class AlteredProof(Exception):
    """The leaves in the bucket are not those that were signed; the text says what differs."""


@dataclass(frozen=True, slots=True)
class Inclusion:
    """The proof that `leaf` (the text of its line) has place `index` in the tree of the checkpoint."""

    index: int
    leaf: bytes
    hashes: Sequence[bytes]
    checkpoint: str


class Proofs:
    """`signs`: whether proofs are made here. Every method raises Unavailable."""

    def __init__(self, database: Database, objects: ObjectStore, *, signs: bool) -> None:
        self._database = database
        self._objects = objects
        self._signs = signs

    async def find(self, job_id: UUID) -> JobProof:
        """Raises UnknownJob, NoProof."""
        async with self._database.reading() as connection:
            proof = await proofs.find(connection, job_id)
            job = await jobs.find(connection, job_id)
        if proof is not None:
            return proof
        if job is None:
            raise UnknownJobOfProof
        if not self._signs:
            raise NoProof("nothing is signed here: jeap.processarchive.evidence.signing-key is not set")
        if job.state is not JobState.COMPLETED:
            raise NoProof("the job is open; its proof is made once it has completed")
        raise NoProof("the proof of this job is being made; ask again in a moment")

    async def leaves(self, proof: JobProof) -> AsyncIterator[Sequence[bytes]]:
        """Lines in the order of submission, many at a time. Raises NoProof, Altered."""
        pieces = self._objects.read(proof.bucket, leaves_key(proof.job_id), proof.leaves_version)
        try:
            async for lines in lines_of(pieces):
                yield lines
        except FileNotFoundError as error:
            raise NoProof("the leaves are gone from the bucket; the checkpoint is still there") from error
        except NoLeaves as error:
            raise AlteredProof(f"the object of the leaves is damaged: {error}") from error

    async def inclusion(self, proof: JobProof, reference_id: str, version: int | None) -> Inclusion:
        """The last leaf of the reference: a live job may have several. Raises NoProof, Altered.

        The leaves are read twice, as the proof of a leaf needs its place.
        """
        index = await self._index_of(proof, reference_id, version)
        ranges = inclusion_ranges(index, proof.size)
        roots, position, leaf = RangeRoots(ranges), 0, b""
        async for lines in self.leaves(proof):
            await asyncio.to_thread(_add, roots, lines)
            if position <= index < position + len(lines):
                leaf = lines[index - position]
            position += len(lines)
        if position != proof.size:
            raise AlteredProof(f"{position} leaves are in the bucket, {proof.size} were signed")
        hashes = roots.roots()
        if not includes(proof.root, proof.size, index, leaf_hash(leaf), hashes):
            raise AlteredProof("the leaves in the bucket do not have the root that was signed")
        return Inclusion(index, leaf, hashes, proof.checkpoint)

    async def _index_of(self, proof: JobProof, reference_id: str, version: int | None) -> int:
        position, found = 0, -1
        async for lines in self.leaves(proof):
            for at in await asyncio.to_thread(_places, lines, reference_id, version):
                found = position + at
            position += len(lines)
        if not 0 <= found < proof.size:
            raise NoProof("the job has no such reference")
        return found


def _add(roots: RangeRoots, lines: Sequence[bytes]) -> None:
    for line in lines:
        roots.add(leaf_hash(line))


def _places(lines: Sequence[bytes], reference_id: str, version: int | None) -> list[int]:
    named, found = b'"id":' + orjson.dumps(reference_id), []
    for place, line in enumerate(lines):
        if named not in line:
            continue
        try:
            leaf = read_leaf(line)
        except LeafError as error:
            raise AlteredProof(f"a leaf in the bucket {error}") from error
        if (leaf.id, leaf.version) == (reference_id, version):
            found.append(place)
    return found
