"""The JSON of evidence."""

from base64 import b64encode
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from app.api.shapes.moments import Moment
from app.domain.notes import VerifierKey
from app.domain.proofs import JobProof, checkpoint_key, leaves_key, timestamp_key
from app.evidence.proofs import Inclusion

_CAMEL = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class KeyView(BaseModel):
    """A key that signs checkpoints, or did so."""

    name: str
    id: Annotated[str, Field(description="hex; stands in front of every signature of this key")]
    key: Annotated[str, Field(description="C2SP verifier key, what `pas evidence verify --key` takes")]
    present: Annotated[bool, Field(description="whether it signs today")]


class KeyPage(BaseModel):
    """All keys, the present one first."""

    items: list[KeyView]
    next: None = None

    @classmethod
    def of(cls, keys: tuple[VerifierKey, ...], present: VerifierKey | None) -> "KeyPage":
        views = [KeyView(name=key.name, id=key.id.hex(), key=str(key), present=key == present) for key in keys]
        return cls(items=views)


class ProofView(BaseModel):
    """The proof of a job; what it is made of lies in the bucket too."""

    model_config = _CAMEL

    checkpoint: Annotated[str, Field(description="signed note (C2SP): origin, number of leaves, root, further lines")]
    root: Annotated[str, Field(description="base64")]
    size: Annotated[int, Field(description="number of leaves, one for each reference")]
    created_at: Moment
    bucket: str
    checkpoint_key: str
    leaves_key: str
    retain_until: Annotated[Moment | None, Field(description="end of the locks of these objects")]
    timestamp_key: Annotated[str | None, Field(description="where there is a timestamp")]
    timestamp: Annotated[str | None, Field(description="RFC 3161 response for the checkpoint, base64")]

    @classmethod
    def of(cls, proof: JobProof) -> "ProofView":
        timed = proof.timestamp is not None
        return cls(
            checkpoint=proof.checkpoint,
            root=b64encode(proof.root).decode(),
            size=proof.size,
            created_at=proof.created_at,
            bucket=proof.bucket,
            checkpoint_key=checkpoint_key(proof.job_id),
            leaves_key=leaves_key(proof.job_id),
            retain_until=proof.retain_until,
            timestamp_key=timestamp_key(proof.job_id) if timed else None,
            timestamp=None if proof.timestamp is None else b64encode(proof.timestamp).decode(),
        )


class InclusionView(BaseModel):
    """The proof that a reference is a leaf of the tree of its job."""

    index: Annotated[int, Field(description="place of the leaf, from 0: the position of the reference")]
    leaf: Annotated[str, Field(description="canonical JSON; its hash is SHA-256 over a byte 0 and this text")]
    hashes: Annotated[list[str], Field(description="inclusion proof of RFC 9162, base64")]
    checkpoint: str

    @classmethod
    def of(cls, found: Inclusion) -> "InclusionView":
        hashes = [b64encode(each).decode() for each in found.hashes]
        return cls(index=found.index, leaf=found.leaf.decode(), hashes=hashes, checkpoint=found.checkpoint)
