"""The effect of a changed metadata definition on values made with an older one. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.domain.archive_types import ExtractionPath
from app.domain.extraction import KeyedPath


@dataclass(frozen=True, slots=True)
class Definition:
    """The keys that a process extracts for one archive type; `revision` is stored with the values."""

    revision: int
    paths: tuple[KeyedPath, ...]


NOTHING = Definition(0, ())


class DefinedKey(NamedTuple):
    """A key as applied. `path_revision` is the revision since which the key has its path; an inactive key was
    removed."""

    key: str
    path: str
    path_revision: int
    active: bool


class Change(NamedTuple):
    """The keys after a change, and the keys whose values must be made: new, changed and returned ones."""

    keys: tuple[DefinedKey, ...]
    affected: tuple[str, ...]


def extracts_the_same(applied: Sequence[DefinedKey], configured: Sequence[ExtractionPath]) -> bool:
    """Whether the configured paths give the same values as the applied keys, in whatever order."""
    return {(each.key, each.path) for each in applied if each.active} == {(each.key, each.path) for each in configured}


def change(applied: Sequence[DefinedKey], configured: Sequence[ExtractionPath], revision: int) -> Change | None:
    """What a configuration changes in the applied keys, as of `revision`; None where it changes nothing.

    A removed key stays, inactive, with its values. Added again with the same path it fills what is absent: its path
    revision stays. With another path the values are stale: the path revision is the new one.
    """
    known = {each.key: each for each in applied}
    keys, affected = [], []
    for key, path in ((each.key, each.path) for each in configured):
        old = known.get(key)
        if old is None or old.path != path:
            keys.append(DefinedKey(key, path, revision, True))
            affected.append(key)
        else:
            keys.append(DefinedKey(key, path, old.path_revision, True))
            if not old.active:
                affected.append(key)
    wanted = {each.key for each in keys}
    keys += [each._replace(active=False) for each in applied if each.key not in wanted]
    if tuple(keys) == tuple(applied):
        return None
    return Change(tuple(keys), tuple(affected))
