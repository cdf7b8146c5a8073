"""Checks `audit.ndjson` of a package: each line is an entry of the audit log with its inclusion proof."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from app.domain.audit import ORIGIN, Act
from app.domain.merkle import includes, leaf_hash
from app.domain.notes import Checkpoint, NoteError, VerifierKey, read_checkpoint, verified

MEMBERS = ("index", "leaf", "hashes", "checkpoint")


class AuditDiffers(ValueError):
    """The entries are not as they must be; the text says what."""


class JobSaid(NamedTuple):
    """What the proof of the job says, to be held beside the entries; `report` are the keys at its beginning."""

    subject: str
    content_hash: str | None
    result: str | None
    root: bytes
    size: int
    report: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Entries:
    """The entries of the job: how many, the size of the log that was signed last, and whether they say when the job
    was submitted and by whom, and when it completed."""

    count: int
    size: int
    submitted: bool
    completed: bool


def check_entries(lines: Iterator[bytes], keys: Sequence[VerifierKey], job: JobSaid) -> Entries:
    """Raises AuditDiffers."""
    signed: dict[str, Checkpoint] = {}
    count, largest, last = 0, 0, -1
    submitted, completed = False, None
    for line in lines:
        count += 1
        where = f"line {count}"
        proof = _proof(line, where)
        note = proof["checkpoint"]
        if note not in signed:
            signed[note] = _checkpoint(note, keys, where)
        head, leaf = signed[note], proof["leaf"].encode()
        if not includes(head.root, head.size, proof["index"], leaf_hash(leaf), proof["hashes"]):
            raise AuditDiffers(f"{where} is not in the log that was signed")
        entry = json.loads(leaf)
        if entry.get("seq") != proof["index"] or entry.get("subject") != job.subject or proof["index"] <= last:
            raise AuditDiffers(f"{where} is not the next entry of {job.subject}")
        _beside(entry, job, where)
        largest, last = max(largest, head.size), proof["index"]
        submitted |= entry.get("what") == Act.JOB_SUBMITTED
        if entry.get("what") == Act.JOB_COMPLETED:
            completed = entry.get("at")
    if completed is not None and job.report is not None and job.report.get(CREATED) != completed:
        raise AuditDiffers(f"{CREATED} of the report is not what the entry of the job's completion says")
    return Entries(count, largest, submitted, completed is not None)


def _proof(line: bytes, where: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
        index, leaf, hashes, checkpoint = (found[name] for name in MEMBERS)
        texts = isinstance(leaf, str) and isinstance(checkpoint, str)
        if len(found) != len(MEMBERS) or type(index) is not int or not texts:
            raise TypeError
        raw = [b64decode(each, validate=True) for each in hashes]
        if [b64encode(each).decode() for each in raw] != hashes:
            raise ValueError
        return {"index": index, "leaf": leaf, "hashes": raw, "checkpoint": checkpoint}
    except (ValueError, TypeError, KeyError) as error:
        raise AuditDiffers(f"{where} is no proof of an entry") from error


def _checkpoint(note: str, keys: Sequence[VerifierKey], where: str) -> Checkpoint:
    try:
        text, key = verified(note, keys)
        checkpoint = read_checkpoint(text)
    except NoteError as error:
        raise AuditDiffers(f"{where}: its checkpoint {error}") from error
    if checkpoint.origin != f"{key.name}/{ORIGIN}":
        raise AuditDiffers(f"{where}: its checkpoint is of {checkpoint.origin}, not of an audit log")
    return checkpoint


def _beside(entry: dict[str, Any], job: JobSaid, where: str) -> None:
    """Compares the entries that say the same as the proof of the job."""
    details = entry.get("details", {})
    wanted: dict[str, Any] = {}
    if entry.get("what") == Act.JOB_SUBMITTED:
        wanted = {"contentHash": job.content_hash, "references": job.size}
    elif entry.get("what") == Act.JOB_COMPLETED:
        wanted = {"result": job.result}
    elif entry.get("what") == Act.JOB_PROVEN:
        wanted = {"root": b64encode(job.root).decode(), "size": job.size}
    for name, value in wanted.items():
        if details.get(name) != value:
            raise AuditDiffers(f"{where}: {name} of {entry['what']} is not what the checkpoint of the job says")
    if entry.get("what") == Act.JOB_SUBMITTED and job.report is not None:
        who = entry.get("who") or {}
        began = {STARTED: entry.get("at"), **{name: who.get(own) for name, own in STARTED_BY.items()}}
        for name, value in began.items():
            if job.report.get(name) != value:
                raise AuditDiffers(f"{where}: {name} of the report is not what the entry of its submission says")


CREATED = "report-created"
STARTED = "started"
STARTED_BY = {"started-by-name": "name", "started-by-ext_id": "extId"}
"""Keys of the report, and what the entry calls them."""
