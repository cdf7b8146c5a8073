"""Checks a package of evidence: every hash and signature, line by line, without network and database."""

from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final, Literal
from uuid import UUID

import orjson

from app.cli import package
from app.cli.audit_checks import CREATED, Entries, JobSaid, check_entries
from app.cli.howto import TEXT
from app.cli.package import BROKEN, Package
from app.cli.report_reader import ReportReader
from app.domain.audit import subject_of_job
from app.domain.identity import content_hash, reference_key, trace_id_of
from app.domain.jobs import JobResult, Reference, TaskState
from app.domain.leaves import Leaf, read_leaf
from app.domain.merkle import Frontier, leaf_hash
from app.domain.notes import Checkpoint, NoteError, VerifierKey, read_checkpoint, read_verifier_key, verified
from app.domain.proofs import CONTENT_HASH, KIND, RESULT, origin_of

AT_ONCE = 1024
"""Leaves that the tree grows by: a power of two, see `Frontier.grown_by`."""

HOLDS: Final = "holds"
DIFFERS: Final = "differs"
UNSEEN: Final = "not looked at"


@dataclass(frozen=True, slots=True)
class CheckedLine:
    """One line: what was looked at, and what was found."""

    kind: Literal["holds", "differs", "not looked at"]
    about: str
    text: str


class Differs(ValueError):
    """Something is not as it must be; the text says what."""


@dataclass
class Found:
    """What the checks found so far, for those that follow. Leaves count only when they are those that were signed."""

    checkpoint: Checkpoint | None = None
    key: VerifierKey | None = None
    states: Counter[TaskState] | None = None
    keys: bytes = b""
    objects: int = 0
    head: dict[str, str] | None = None
    entries: Entries | None = None
    failed: int = 0
    untraced: int = 0
    """References that failed, and those of them whose trace id is not the one that job and reference have."""

    @property
    def job_id(self) -> UUID:
        """The job that the checkpoint is of. Raises ValueError."""
        assert self.checkpoint is not None  # noqa: S101 - who asks has looked
        assert self.key is not None  # noqa: S101
        return UUID(self.checkpoint.origin.removeprefix(f"{self.key.name}/jobs/"))

    @property
    def said(self) -> dict[str, str]:
        """The further lines of the checkpoint by their first word."""
        lines = () if self.checkpoint is None else self.checkpoint.lines
        return dict(line.split(" ", 1) for line in lines if " " in line)


def check_package(path: Path, keys: Sequence[VerifierKey], authorities: bytes | None = None) -> Iterator[CheckedLine]:
    """What holds, what differs and what was not looked at, one after the other.

    `authorities`: PEM certificates of the timestamp authority. Raises OSError.
    """
    yield _said("package", lambda: _seal(path))
    found = Found()
    try:
        with package.opened(path) as archive:
            checks: list[tuple[str, Callable[[Package, Found], str]]] = [
                ("members", lambda of, _: _members(of)),
                ("checkpoint", lambda of, so_far: _checkpoint(of, so_far, keys)),
                ("leaves", _leaves),
                ("report", _report),
                ("submission", lambda _, so_far: _submission(so_far)),
                ("result", lambda _, so_far: _result(so_far)),
                ("keys", _keys),
                ("timestamp", lambda of, so_far: _timestamp(of, so_far, authorities)),
                ("audit log", lambda of, so_far: _audit(of, so_far, keys)),
            ]
            for about, check in checks:
                yield _said(about, lambda check=check: check(archive, found))  # type: ignore[misc]
            yield from _unseen(found)
    except BROKEN as error:
        yield CheckedLine(DIFFERS, "package", f"cannot be read as a ZIP file: {error}")


def leaves_of(path: Path) -> Iterator[Leaf]:
    """The leaves of a package whose leaves hold. Raises one of BROKEN."""
    with package.opened(path) as archive:
        for line in archive.lines(package.LEAVES):
            yield read_leaf(line)


class Unseen(Exception):
    """Something was not looked at; the text says why."""


def _said(about: str, check: Callable[[], str]) -> CheckedLine:
    try:
        return CheckedLine(HOLDS, about, check())
    except Unseen as unseen:
        return CheckedLine(UNSEEN, about, str(unseen))
    except BROKEN as error:
        return CheckedLine(DIFFERS, about, str(error) or type(error).__name__)


def _seal(path: Path) -> str:
    said, actual = package.seal_of(path)
    if said != actual:
        raise Differs(f"it was changed since it was written: its SHA-256 is {actual}, and it says {said or 'none'}")
    return f"no byte was changed since it was written (SHA-256 {actual})"


def _members(archive: Package) -> str:
    names = archive.names
    if len(set(names)) < len(names) or not set(package.NEEDED) <= set(names) <= set(package.NAMES):
        raise Differs(f"has {', '.join(names)}; wanted are {', '.join(package.NEEDED)}")
    if archive.text(package.HOWTO) != TEXT:
        raise Unseen(f"{package.HOWTO} is not that of this release: do not follow it blindly")
    return ", ".join(names)


def _checkpoint(archive: Package, found: Found, keys: Sequence[VerifierKey]) -> str:
    try:
        text, key = verified(archive.text(package.CHECKPOINT), keys)
        checkpoint = read_checkpoint(text)
    except NoteError as error:
        raise Differs(str(error)) from error
    prefix = f"{key.name}/jobs/"
    if not checkpoint.origin.startswith(prefix):
        raise Differs(f"is of {checkpoint.origin}, not of a job of the key {key.name}")
    found.checkpoint, found.key = checkpoint, key
    root = b64encode(checkpoint.root).decode()
    return f"signed by {key.name}+{key.id.hex()}: {checkpoint.origin}, {checkpoint.size} references, root {root}"


def _leaves(archive: Package, found: Found) -> str:
    if found.checkpoint is None:
        raise Unseen("without a checkpoint there is nothing to compare them with")
    frontier, states, keys, objects = Frontier(), Counter[TaskState](), bytearray(), 0
    hashes: list[bytes] = []
    for number, line in enumerate(archive.lines(package.LEAVES)):
        leaf = read_leaf(line)
        if leaf.position != number:
            raise Differs(f"line {number + 1} is of position {leaf.position}")
        hashes.append(leaf_hash(line))
        if len(hashes) == AT_ONCE:
            frontier, hashes = frontier.grown_by(hashes), []
        states[leaf.state] += 1
        keys += reference_key(Reference(leaf.id, leaf.version))
        objects += leaf.object is not None
    frontier = frontier.grown_by(hashes)
    if frontier.size != found.checkpoint.size:
        raise Differs(f"there are {frontier.size} of them, and {found.checkpoint.size} were signed")
    if frontier.root() != found.checkpoint.root:
        raise Differs(f"their root is {b64encode(frontier.root()).decode()}, which is not the one that was signed")
    found.states, found.keys, found.objects = states, bytes(keys), objects
    return f"{frontier.size} of them have the root that was signed: none is missing, added or changed"


def _report(archive: Package, found: Found) -> str:
    if found.states is None:
        raise Unseen("without the leaves there is nothing to compare it with")
    signed_id = found.job_id
    most = 8 * archive.size(package.LEAVES) + 1024**2
    if archive.size(package.REPORT) > most:
        raise Differs(f"has {archive.size(package.REPORT)} bytes; one over these leaves has at most {most}")
    with archive.stream(package.REPORT) as stream:
        reader = ReportReader(stream)
        count = 0
        for line, reported in zip_longest(archive.lines(package.LEAVES), reader.references()):
            if line is None or reported is None:
                raise Differs(f"has {'more' if line is None else 'less'} references than there are leaves")
            leaf = orjson.loads(line)  # it was checked with the leaves
            if reported[:4] != (leaf["id"], _text(leaf.get("version")), leaf["state"], leaf.get("message")):
                raise Differs(f"reference {count} is not what its leaf says: {leaf['id']}")
            count += 1
            if reported.state == TaskState.FAILED:
                found.failed += 1
                key = reference_key(Reference(leaf["id"], leaf.get("version")))
                found.untraced += reported.trace_id != trace_id_of(signed_id, key)
    found.head = reader.head
    assert found.checkpoint is not None  # noqa: S101 - there are leaves
    assert found.key is not None  # noqa: S101
    job_id = UUID(reader.head.get("job-id", ""))
    if found.checkpoint.origin != f"{found.key.name}/{origin_of(job_id)}":
        raise Differs(f"is of job {job_id}, the checkpoint of {found.checkpoint.origin}")
    return f"{count} references are in it as the leaves say (id, version, state, message)"


def _text(version: int | None) -> str | None:
    return None if version is None else str(version)


def _submission(found: Found) -> str:
    if found.head is None:
        raise Unseen("without the report it is not known what was submitted")
    if found.said.get(KIND) == "live":
        raise Unseen("a live job was not submitted by anybody")
    said = found.said.get(CONTENT_HASH)
    message, topic, config_id = (found.head.get(name) for name in ("message", "topic", "config-id"))
    if message is None or topic is None:
        raise Differs("the report names no message or no topic")
    actual = content_hash(message, topic, config_id, found.keys).hex()
    if actual != said:
        raise Differs(f"message, topic, config-id and references have the hash {actual}; signed was {said}")
    return f"message, topic, config-id and references are those that were submitted ({actual})"


def _result(found: Found) -> str:
    if found.states is None or found.head is None:
        raise Unseen("without leaves and report there is nothing to compare")
    succeeded, failed = found.states[TaskState.SUCCEEDED], found.states[TaskState.FAILED]
    if found.states[TaskState.OPEN]:
        raise Differs(f"{found.states[TaskState.OPEN]} references are open")
    result = JobResult.PARTIALLY_SUCCEEDED if succeeded and failed else JobResult.FAILED
    result = JobResult.SUCCEEDED if not failed else result
    for where, said in (("checkpoint", found.said.get(RESULT)), ("report", found.head.get("job-result"))):
        if said != result:
            raise Differs(f"{succeeded} succeeded and {failed} failed, which is {result}; the {where} says {said}")
    if found.head.get("job-state") != "completed":
        raise Differs("the report is not of a completed job")
    return f"{result}: {succeeded} succeeded, {failed} failed"


def _keys(archive: Package, found: Found) -> str:
    if found.key is None:
        raise Unseen("the checkpoint is not signed by a key that was given")
    listed = [read_verifier_key(line) for line in archive.text(package.KEYS).splitlines()]
    if found.key not in listed:
        raise Differs(f"the package does not list the key {found.key}")
    return "the key that was given is one of those in the package"


def _timestamp(archive: Package, found: Found, authorities: bytes | None) -> str:
    if package.TIMESTAMP not in archive.names:
        raise Unseen("the package has none: nobody else says when it was signed")
    from app.domain.timestamps import check_reply, read_certificates, verify_reply

    if found.checkpoint is None:
        raise Unseen("the checkpoint that it is for was not signed by a key that was given")
    reply, checkpoint = archive.content(package.TIMESTAMP), archive.content(package.CHECKPOINT)
    if authorities is None:
        said = check_reply(reply, checkpoint).isoformat()
        raise Unseen(f"it says {said}; without --tsa-certificate nobody knows who says so")
    moment = verify_reply(reply, checkpoint, read_certificates(authorities))
    return f"the checkpoint was there at {moment.isoformat()}, says the authority that was given"


def _audit(archive: Package, found: Found, keys: Sequence[VerifierKey]) -> str:
    if package.AUDIT not in archive.names:
        raise Unseen("the package has none: what was done to the job, and by whom, is not proven")
    if found.checkpoint is None or found.key is None:
        raise Unseen("without a checkpoint of the job there is nothing to compare it with")
    said = JobSaid(
        subject_of_job(found.job_id),
        found.said.get(CONTENT_HASH),
        found.said.get(RESULT),
        found.checkpoint.root,
        found.checkpoint.size,
        found.head,
    )
    found.entries = check_entries(archive.lines(package.AUDIT), keys, said)
    if not found.entries.count:
        raise Unseen("it has no entry of the job; an older release wrote none")
    return f"{found.entries.count} entries of the job are in the log of {found.entries.size} entries that was signed"


def _unseen(found: Found) -> Iterator[CheckedLine]:
    if found.head is not None:
        if found.entries is None or not found.entries.submitted:
            text = "no job.submitted in the package: who started the job, and when, only the report says"
            yield CheckedLine(UNSEEN, "started", text)
        if found.entries is None or not found.entries.completed:
            text = "no job.completed in the package: when the job completed, only the report says"
            yield CheckedLine(UNSEEN, CREATED, text)
        if found.untraced:
            text = f"{found.untraced} of {found.failed} are not those that job and reference have; nothing signs them, "
            yield CheckedLine(UNSEEN, "trace ids", f"{text}and messages and an older release have others")
    known = {CONTENT_HASH, RESULT, KIND}
    if others := sorted(found.said.keys() - known):
        yield CheckedLine(UNSEEN, "checkpoint", f"further lines of it: {', '.join(others)}")
