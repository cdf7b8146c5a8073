"""Compares the audit log in the database with itself, and with the checkpoints that lie in the bucket under lock."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import audit
from app.db.database import Database
from app.domain.audit import CHECKPOINTS, ORIGIN, BrokenHead, LoggedEntry, true_hash
from app.domain.merkle import Frontier
from app.domain.notes import Checkpoint, NoteError, VerifierKey, read_checkpoint, verified
from app.evidence.reading import gathered
from app.objectstore import ListedVersion, ObjectStore

MOST = 20
"""Findings that are listed one by one."""

SHOWN = 3
"""Findings that are told where there is no room for a list."""

LARGEST_NOTE = 64 * 1024


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A checkpoint that lies in the bucket."""

    size: int
    root: bytes


@dataclass
class CheckedLog:
    """What was found. `entries` is how many the log has, `compared` the size of the newest checkpoint; 0: none. `tree`
    is that of the entries, where nothing was found."""

    entries: int = 0
    compared: int = 0
    findings: list[str] = field(default_factory=list)
    tree: Frontier = field(default_factory=Frontier)

    def add(self, finding: str) -> None:
        if len(self.findings) < MOST:
            self.findings.append(finding)
        elif len(self.findings) == MOST:
            self.findings.append(f"there is more; the first {MOST} findings are listed")


async def check_log(database: Database, heads: Sequence[SignedHead]) -> CheckedLog:
    """Reads all entries, in flat memory. `heads` are checkpoints by size; each says what the log once was.

    Entries that are written meanwhile are not looked at. Raises Unavailable.
    """
    found = CheckedLog(compared=max((each.size for each in heads), default=0))
    async with database.reading() as connection:
        head = await _head(connection, found)
        outside = await audit.outside(connection, MOST + 1)
    found.entries = 0 if head is None else head.size
    for seq in outside:
        before = isinstance(seq, int) and seq < 0
        found.add(f"entry {seq!r} was inserted {'before the first of the log' if before else 'without a number'}")
    if head is not None and head.size < found.compared:
        found.add(f"the log was cut: it has {head.size} entries, and a checkpoint in the bucket is of {found.compared}")
    frontier = await _entries(database, None if head is None else head.size, heads, found)
    if not found.findings and head is not None and (frontier.size, frontier.root()) != (head.size, head.root()):
        found.add(f"the head of the log is not that of its {frontier.size} entries")
    found.tree = frontier
    return found


async def follow(database: Database, found: CheckedLog) -> None:
    """Whether the log only grew since nothing was found: the hashes of the newer entries lead from its tree to its
    head. Raises Unavailable."""
    async with database.reading() as connection:
        head = await _head(connection, found)
    if head is None:
        return
    tree = found.tree
    if head.size < tree.size:
        found.add(f"the log was cut while the service ran: it has {head.size} entries, and had {tree.size}")
        return
    while tree.size < head.size:
        async with database.reading() as connection:
            hashes = await audit.hashes(connection, tree.size, head.size)
        if not hashes:
            break
        for each in hashes:
            tree = tree.grown(each)
        await asyncio.sleep(0)
    if tree == head:
        found.tree = tree
    else:
        known = found.tree.size
        found.add(f"the log was rewritten while the service ran: its head is not what {known} entries lead to")


async def _head(connection: AsyncConnection, found: CheckedLog) -> Frontier | None:
    try:
        return await audit.head(connection)
    except BrokenHead as broken:
        if broken.finding not in found.findings:
            found.add(broken.finding)
        return None


async def _entries(database: Database, size: int | None, heads: Sequence[SignedHead], found: CheckedLog) -> Frontier:
    """The tree of the entries. Without a size, as there is no head, all rows are taken for entries."""
    frontier, after, read = Frontier(), -1, -1
    todo = sorted(heads, key=lambda each: each.size, reverse=True)
    last_good, whole = 0, True
    while True:
        async with database.reading() as connection:
            rows = await audit.following(connection, read)
            newest = None if size is None else await _head(connection, found)
        for entry in rows:
            if not isinstance(entry.seq, int):
                found.add(f"entry {entry.seq!r} was inserted without a number")
                continue
            if newest is not None and entry.seq >= newest.size:
                found.add(f"entry {entry.seq} was inserted behind the head of the log")
                continue
            if size is not None and entry.seq >= size:
                return frontier
            whole = _entry(entry, after, found) and whole
            after = entry.seq
            frontier = frontier.grown(entry.hash)
            while todo and todo[-1].size <= frontier.size:
                signed = todo.pop()
                if signed.size != frontier.size or not whole:
                    continue  # a gap was named already, and all roots behind it differ
                if signed.root == frontier.root():
                    last_good = signed.size
                    continue
                if signed.size == last_good:
                    found.add(f"two checkpoints of {signed.size} entries in the bucket are signed, and they differ")
                    continue
                found.add(
                    f"the log was rewritten: its entries {last_good} to {signed.size - 1} are not those that the "
                    f"checkpoint of {signed.size} entries in the bucket is of"
                )
                whole = False
        if len(rows) < audit.PAGE:
            break
        read = rows[-1].seq
        await asyncio.sleep(0)
    if size is not None and after + 1 < size:
        found.add(_missing(after + 1, size - 1))
    return frontier


def _entry(entry: LoggedEntry, after: int, found: CheckedLog) -> bool:
    """Whether an entry is the next one and has its hash."""
    good = entry.seq == after + 1
    if not good:
        found.add(_missing(after + 1, entry.seq - 1))
    try:
        right = true_hash(entry) == entry.hash
    except (ValueError, TypeError, RecursionError):
        right = False
    if not right:
        found.add(f"entry {entry.seq} was changed: {entry.what} of {entry.subject} does not have the hash that it has")
    return good and right


def _missing(first: int, last: int) -> str:
    if first == last:
        return f"entry {first} was removed"
    return f"entries {first} to {last} were removed"


async def signed_heads(
    objects: ObjectStore, bucket: str, keys: Sequence[VerifierKey], *, all_of_them: bool = False
) -> list[SignedHead]:
    """The checkpoints in the bucket that one of the keys signed, by size: the newest, or all, and then each version of
    them. Raises Unavailable."""
    listed: dict[int, list[ListedVersion]] = {}
    async for page in objects.list_prefix(bucket, CHECKPOINTS):
        for each in page:
            digits, _, name = each.key.removeprefix(CHECKPOINTS).partition("/")
            if name == "checkpoint" and digits.isascii() and digits.isdecimal() and len(digits) < 19:
                listed.setdefault(int(digits), []).append(each)
    found: list[SignedHead] = []
    for size in sorted(listed, reverse=True):
        for each in listed[size]:
            signed = await _signed(objects, each, keys)
            if signed is not None and signed.size == size:
                found.append(SignedHead(size, signed.root))
                if not all_of_them:
                    break
        if found and not all_of_them:
            break
    return found[::-1]


async def _signed(objects: ObjectStore, listed: ListedVersion, keys: Sequence[VerifierKey]) -> Checkpoint | None:
    """The checkpoint; None where the object is none, or nobody known signed it: others may write into the bucket."""
    version = await objects.head(listed.bucket, listed.key, listed.version_id)
    if version is None:
        return None
    try:
        text, key = verified((await gathered(objects, version, LARGEST_NOTE)).decode(), keys)
        checkpoint = read_checkpoint(text)
    except (NoteError, UnicodeDecodeError):
        return None
    return checkpoint if checkpoint.origin == f"{key.name}/{ORIGIN}" else None
