"""Loads the file of archive type configurations, checks every entry, and finds the configuration that a job means."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from app.catalog.entries import read_entry
from app.catalog.entry import FileEntry
from app.catalog.known_messages import unknown_config_id, unknown_message
from app.catalog.live_payloads import PayloadMistake
from app.catalog.own_topics import NO_TOPICS, OwnTopics
from app.catalog.plain_yaml import exact_number, load_yaml
from app.domain.archive_types import ArchiveTypeConfiguration


class CatalogError(Exception):
    """The archive types or the schemas cannot be used; `mistakes` has one readable line for each mistake."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


class ResolveError(Exception):
    """A message and config-id do not name exactly one remote-data configuration; the text is for the submitter."""


class UnknownMessage(ResolveError):
    def __init__(self, message: str, configurations: Iterable[ArchiveTypeConfiguration] = ()) -> None:
        super().__init__(unknown_message(message, configurations))


class NotRemoteData(ResolveError):
    def __init__(self, message: str) -> None:
        super().__init__(f"archive type {message} is not remote-data: it has no uri to read archive data from")


class AmbiguousConfiguration(ResolveError):
    def __init__(self, message: str, ids: tuple[str, ...]) -> None:
        super().__init__(f"message {message} has several configurations; choose one with config-id: {', '.join(ids)}")
        self.ids = ids


class UnknownConfigId(ResolveError):
    def __init__(self, message: str, config_id: str, ids: tuple[str, ...]) -> None:
        super().__init__(unknown_config_id(message, config_id, ids))
        self.ids = ids


@dataclass(frozen=True, slots=True)
class Catalog:
    """All archive type configurations, in the order of the file."""

    configurations: tuple[ArchiveTypeConfiguration, ...]
    _resolved: dict[tuple[str, str | None], ArchiveTypeConfiguration] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """What `resolve` has found: it is asked several times for each task."""

    def for_message(self, message: str) -> tuple[ArchiveTypeConfiguration, ...]:
        return tuple(each for each in self.configurations if each.message_type == message)

    def name_of(self, configuration: ArchiveTypeConfiguration) -> str:
        """What people know it by: its message type, with its id where the message has several configurations."""
        has_several = len(self.for_message(configuration.message_type)) > 1
        return configuration.name if has_several else configuration.message_type

    def resolve(self, message: str, config_id: str | None) -> ArchiveTypeConfiguration:
        """The one remote-data configuration that is meant.

        Raises a ResolveError: UnknownMessage, UnknownConfigId, NotRemoteData or AmbiguousConfiguration.
        """
        known = self._resolved.get((message, config_id))
        if known is None:
            known = self._resolved[message, config_id] = self._find(message, config_id)
        return known

    def _find(self, message: str, config_id: str | None) -> ArchiveTypeConfiguration:
        found = self.for_message(message)
        if not found:
            raise UnknownMessage(message, self.configurations)
        if config_id is not None:
            ids = tuple(each.id for each in found if each.id is not None)
            found = tuple(each for each in found if each.id == config_id)
            if not found:
                raise UnknownConfigId(message, config_id, ids)
        remote = tuple(each for each in found if each.is_remote_data)
        if not remote:
            raise NotRemoteData(message)
        if len(remote) > 1:
            raise AmbiguousConfiguration(message, tuple(each.id or "" for each in remote))
        return remote[0]


def load_archive_types(
    path: Path,
    oauth_client_ids: Collection[str],
    allow_insecure: bool,
    payload_mistake: PayloadMistake | None = None,
    own_topics: OwnTopics = NO_TOPICS,
) -> Catalog:
    """The configurations of the file. Raises CatalogError with every mistake: file, entry and key.

    `payload_mistake` is that of the registry of archive data types; without it the schemas of payloads are not
    compared with it. `own_topics` are those that live archive types must not read.
    """
    mistakes: list[str] = []
    entries = [
        FileEntry(index, raw, _line_of(raw), mistakes, path.name) for index, raw in enumerate(_entries(path, mistakes))
    ]
    read = [
        (
            entry,
            read_entry(
                entry,
                oauth_client_ids,
                allow_insecure=allow_insecure,
                payload_mistake=payload_mistake,
                own_topics=own_topics,
            ),
        )
        for entry in entries
    ]
    _check_ids(read)
    if mistakes:
        raise CatalogError(mistakes)
    return Catalog(tuple(configuration for _, configuration in read if configuration is not None))


def _check_ids(read: list[tuple[FileEntry, ArchiveTypeConfiguration | None]]) -> None:
    """Several configurations of one message type need different ids, and the names of all configurations must
    differ."""
    present = [(entry, configuration) for entry, configuration in read if configuration is not None]
    _check_names(present)
    types = Counter(configuration.message_type for _, configuration in present)
    first: dict[tuple[str, str], FileEntry] = {}
    for entry, configuration in present:
        if types[configuration.message_type] == 1:
            continue
        if configuration.id is None:
            entry.mistake("id", f"missing; {configuration.message_type} has several configurations, each needs its own")
            continue
        before = first.setdefault((configuration.message_type, configuration.id), entry)
        if before is not entry:
            entry.mistake("id", f"{configuration.id} is the id of archiveTypes[{before.index}] too")


def _check_names(present: list[tuple[FileEntry, ArchiveTypeConfiguration]]) -> None:
    """`X` with the id `y/z` and `X/y` with the id `z` would share their metadata."""
    first: dict[str, ArchiveTypeConfiguration] = {}
    for entry, configuration in present:
        before = first.setdefault(configuration.name, configuration)
        if before.message_type != configuration.message_type:
            entry.mistake("id", f"message type and id read {configuration.name}, like those of {before.message_type}")


def _entries(path: Path, mistakes: list[str]) -> Iterator[Any]:
    try:
        root = _read(path)
    except OSError as error:
        mistakes.append(f"{path}: cannot read the archive types: {error.strerror}")
        return
    except UnicodeDecodeError:
        mistakes.append(f"{path}: not UTF-8")
        return
    except YAMLError as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        what = error.problem if isinstance(error, MarkedYAMLError) else "malformed"
        mistakes.append(f"{path.name}{f' line {mark.line + 1}' if mark else ''}: not valid YAML: {what}")
        return
    except (ValueError, RecursionError) as error:
        mistakes.append(f"{path.name}: not valid: {error}")
        return
    if not isinstance(root, Mapping):
        mistakes.append(f"{path.name}: must hold archiveTypes: with a list of configurations")
        return
    mistakes.extend(
        f"{path.name}: unknown key {key}, only archiveTypes is known" for key in root if key != "archiveTypes"
    )
    types = root.get("archiveTypes")
    if not isinstance(types, list):
        mistakes.append(f"{path.name}: archiveTypes must be a list of configurations")
        return
    yield from types


def _read(path: Path) -> Any:
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix == ".json":
        return json.loads(text, object_pairs_hook=_no_duplicates, parse_float=exact_number)
    return load_yaml(text)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"duplicate key among {', '.join(found)}")
    return found


def _line_of(raw: Any) -> int | None:
    return raw.lc.line + 1 if isinstance(raw, CommentedMap) else None
