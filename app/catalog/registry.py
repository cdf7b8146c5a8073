"""The registry of archive data types: descriptors and schemas of one folder, read and compiled once at the start."""

import asyncio
import contextlib
import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from typing_extensions import override

from app.catalog.archive_types import CatalogError
from app.catalog.bundles import identifier
from app.catalog.known_schemas import unknown_schema
from app.catalog.lanes import LARGE_DOCUMENT, Lane, Later
from app.catalog.large import PAUSE, LargeDocuments, NotBuiltError, NotCheckedError, NoWorkerError
from app.catalog.mismatch import NO_RULE
from app.catalog.schemas import EXTENSIONS, CompiledSchema, compile_schema, parse_strict
from app.domain.archive_types import ArchiveDataType, SchemaName
from app.domain.errors import MAX_MESSAGE, PermanentFailure
from app.domain.extraction import KeyedPath, MetadataValue, document_values, metadata_values

MAX_EXPIRATION_DAYS = 36_500
NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
"""Systems and types: they become part of object keys, tags and ids of lifecycle rules."""

DESCRIPTOR_KEYS = (
    "archiveType",
    "system",
    "referenceIdType",
    "description",
    "documentationUrl",
    "expirationDays",
    "versions",
    "compatibilityMode",
    "compatibleVersion",
)
VERSION_KEYS = ("version", "schema", "compatibilityMode", "compatibleVersion")
ENCRYPTION_KEYS = ("encryptionKey", "encryption")
ROOT_URI = "registry:///"


@dataclass(frozen=True, slots=True)
class Registry:
    """All archive data types with their compiled schemas; `large` checks large documents, if it is given."""

    entries: Mapping[SchemaName, tuple[ArchiveDataType, CompiledSchema]]
    large: LargeDocuments | None = field(default=None, compare=False, repr=False)

    def find(self, schema: SchemaName) -> ArchiveDataType | None:
        """The type with exactly this system, name and version."""
        found = self.entries.get(schema)
        return found[0] if found else None

    def types(self) -> tuple[ArchiveDataType, ...]:
        return tuple(data_type for data_type, _ in self.entries.values())

    def check(self, document: bytes, content_type: str, schema: SchemaName) -> None:
        """Raises PermanentFailure when the document does not match schema and content type."""
        problem = self.problem(document, content_type, schema)
        if problem is not None:
            raise PermanentFailure(problem)

    async def check_async(self, document: bytes, content_type: str, schema: SchemaName) -> None:
        """Like `check`; a check that would block the event loop runs in a worker process, with a deadline."""
        found = self.entries.get(schema)
        if found is None or self.large is None:
            self.check(document, content_type, schema)
            return
        lane = found[1].check.lane(document)
        try:
            if lane is None:
                problem = self.problem(document, content_type, schema, None)
            else:
                problem = await self._problem_in(lane, document, content_type, schema)
        except Later as later:
            problem = await self._problem_in(later.lane, document, content_type, schema)
        if problem is not None:
            raise PermanentFailure(problem)

    async def _problem_in(self, lane: Lane, document: bytes, content_type: str, schema: SchemaName) -> str | None:
        assert self.large is not None  # noqa: S101
        more = self.entries[schema][1].check.more_seconds(document)
        while True:
            try:
                return await self.large.problem(document, content_type, schema, lane, more)
            except Later as later:
                lane = later.lane
            except NotCheckedError as error:
                if error.is_mismatch:
                    return f"{_mismatch(schema)}: $: {NO_RULE} ({error})"
                return f"{_not_checked(schema)}: {error}"
            except NotBuiltError:
                if lane is not Lane.LARGE:
                    return f"{_not_checked(schema)}: the process that does it cannot use the schema; the log says why"
                return self.problem(document, content_type, schema)  # better late than not at all
            except NoWorkerError:
                if lane is Lane.LARGE:
                    return self.problem(document, content_type, schema)
                await asyncio.sleep(PAUSE / 10)  # in the event loop it could last for ever: the document waits

    def problem(
        self,
        document: bytes,
        content_type: str,
        schema: SchemaName,
        where: Lane | None = Lane.COSTLY,
        on_mismatch: Callable[[], None] | None = None,
    ) -> str | None:
        """The message of the failure, None for a valid document. `where` and `on_mismatch` as for `Check`."""
        found = self.entries.get(schema)
        if found is None:
            return unknown_schema(schema, self.entries)
        compiled = found[1]
        if not compiled.describes(content_type):
            shown = re.sub(r"[^!-~]", "?", content_type.partition(";")[0].strip())[:100] or "(none)"
            return f"{_mismatch(schema)}: its {compiled.file.extension} does not describe content type {shown}"
        rule = compiled.check(document, where, on_mismatch)
        return None if rule is None else f"{_mismatch(schema)}: {rule}"[:MAX_MESSAGE]

    def payload_mistake(self, schema: SchemaName, content_type: str) -> str | None:
        """What is wrong with an archive type configuration whose documents have this schema and content type."""
        found = self.entries.get(schema)
        if found is None:
            return unknown_schema(schema, self.entries)
        compiled = found[1]
        if not compiled.describes(content_type):
            fitting = "avro/binary" if compiled.file.extension != "schema.json" else "application/json"
            return f"{schema} has a schema for {fitting}, contentType says {content_type}"
        return None

    def encode_avro(self, schema: SchemaName, value: Any) -> bytes:
        """The document in Avro of a value in the form of `values`.

        Raises ValueError with path and rule, without a value, and for a schema that is not one of Avro.
        """
        found = self.entries.get(schema)
        if found is None:
            raise ValueError(unknown_schema(schema, self.entries))
        if found[1].write_avro is None:
            raise ValueError(f"{schema} is not described by Avro")
        return found[1].write_avro(value)

    def values(self, document: bytes, content_type: str, schema: SchemaName, *, checked: bool) -> Any:
        """The plain values of a document for extraction, None where nothing can be extracted. Never raises.

        JSON needs no schema. Avro is read with the schema of that name only; unless it was `checked` with it in this
        process, that is done first: crafted or foreign bytes would take any amount of memory.
        """
        found = self.entries.get(schema)
        read_avro = found[1].read_avro if found else None
        if found and read_avro is not None and not checked and found[1].describes(content_type):
            read_avro = read_avro if found[1].check(document) is None else None
        return document_values(document, content_type, read_avro)

    def metadata(
        self, document: bytes, content_type: str, schema: SchemaName, paths: Sequence[KeyedPath], *, checked: bool
    ) -> dict[str, MetadataValue]:
        """The value of each key, null where the document has none. `checked` as for `values`. Never raises."""
        return metadata_values(paths, self.values(document, content_type, schema, checked=checked))

    async def metadata_async(
        self, document: bytes, content_type: str, schema: SchemaName, paths: Sequence[KeyedPath], *, checked: bool
    ) -> dict[str, MetadataValue]:
        """Like `metadata`; a large document is read in a worker process."""
        if len(document) > LARGE_DOCUMENT and self.large is not None:
            # no process can be had: better late than not at all
            with contextlib.suppress(NoWorkerError, NotBuiltError, NotCheckedError):
                return await self.large.metadata(document, content_type, schema, paths, checked=checked)
        return self.metadata(document, content_type, schema, paths, checked=checked)

    def prepare(self, schema: SchemaName) -> None:
        """Raises ValueError when the schema cannot be used; in this registry each schema was compiled before."""
        self.entries.get(schema)

    def close(self) -> None:
        """Ends the worker processes, if there are any."""
        if self.large is not None:
            self.large.close()


def registry_of(types: tuple[ArchiveDataType, ...]) -> Registry:
    """The same registry in a worker process, made of the schemas as they are stored, not of the disk."""
    return Registry(_CompiledOnUse(types))


class _CompiledOnUse(Mapping[SchemaName, tuple[ArchiveDataType, CompiledSchema]]):
    """Each type is compiled for its first document: no type harms another. ValueError for a type that cannot be
    compiled."""

    def __init__(self, types: tuple[ArchiveDataType, ...]) -> None:
        self._types = {each.schema: each for each in types}
        self._compiled: dict[SchemaName, CompiledSchema] = {}

    @override
    def __getitem__(self, schema: SchemaName) -> tuple[ArchiveDataType, CompiledSchema]:
        data_type = self._types[schema]
        if schema not in self._compiled:
            file = data_type.file
            self._compiled[schema] = compile_stored(file.content, file.extension, schema.name)
        return data_type, self._compiled[schema]

    @override
    def __iter__(self) -> Iterator[SchemaName]:
        return iter(self._types)

    @override
    def __len__(self) -> int:
        return len(self._types)


def compile_stored(content: bytes, extension: str, type_name: str) -> CompiledSchema:
    """Compiles a stored schema, which holds all that it refers to. Raises ValueError with the reason."""
    return compile_schema(content, extension, type_name, ROOT_URI, _refuse)


def _refuse(uri: str) -> Any:  # noqa: ARG001 - a Retrieve
    raise LookupError("a stored schema holds all it refers to")


def _mismatch(schema: SchemaName) -> str:
    return f"Archive data does not match schema {schema}"


def _not_checked(schema: SchemaName) -> str:
    return f"Archive data cannot be checked with schema {schema}"


def load_registry(location: Path) -> Registry:
    """Every `<system>/<type>/<Type>.json` below the folder with its schemas; folders starting with `_` hold shared
    ones. Raises CatalogError with all mistakes: file and key."""
    loader = _Loader(location)
    if not location.is_dir():
        raise CatalogError([f"{location}: the registry of archive data types is not there"])
    for system in loader.folders(location):
        for folder in loader.folders(system):
            loader.read_folder(folder)
    if loader.mistakes:
        raise CatalogError(loader.mistakes)
    types = tuple(data_type for data_type, _ in loader.entries.values())
    return Registry(loader.entries, LargeDocuments(partial(registry_of, types)))


@dataclass(slots=True)
class _Loader:
    root: Path
    mistakes: list[str] = field(default_factory=list)
    entries: dict[SchemaName, tuple[ArchiveDataType, CompiledSchema]] = field(default_factory=dict)
    by_id: dict[str, list[Path]] | None = None

    def mistake(self, path: Path, problem: str) -> None:
        self.mistakes.append(f"{path.relative_to(self.root)}: {problem}")

    def folders(self, parent: Path) -> list[Path]:
        found = []
        for path in sorted(parent.iterdir()):
            if not path.is_dir() or path.name.startswith((".", "_")):
                continue
            if path.name != path.name.lower():
                self.mistake(path, "folder names are in lower case")
            found.append(path)
        return found

    def read_folder(self, folder: Path) -> None:
        candidates = [path for path in sorted(folder.glob("*.json")) if not path.name.endswith(".schema.json")]
        if len(candidates) != 1:
            what = "no descriptor <Type>.json" if not candidates else "more than one descriptor <Type>.json"
            self.mistake(folder, f"{what} (folders of shared schemas start with _)")
            return
        path = candidates[0]
        descriptor = self._parse(path)
        if descriptor is None:
            return
        if not isinstance(descriptor, dict):
            self.mistake(path, "must be an object")
            return
        before = len(self.mistakes)
        self._check_descriptor(path, descriptor)
        versions = descriptor.get("versions")
        if not isinstance(versions, list) or not versions:
            self.mistake(path, "versions: must be a list with at least one {version, schema}")
            return
        usable = len(self.mistakes) == before
        seen: set[int] = set()
        for index, version in enumerate(versions):
            self._read_version(path, descriptor, f"versions[{index}]", version, seen, usable=usable)

    def _check_descriptor(self, path: Path, descriptor: dict[str, Any]) -> None:
        for key in descriptor:
            if key in ENCRYPTION_KEYS:
                self.mistake(
                    path,
                    f"{key}: encryption is not built yet; data meant to be encrypted is never stored plain, so this "
                    "archive type cannot be used",
                )
            elif key not in DESCRIPTOR_KEYS:
                self._unknown(path, key, key, DESCRIPTOR_KEYS)
        for key, expected in (("archiveType", path.parent.name), ("system", path.parent.parent.name)):
            value = descriptor.get(key)
            if not isinstance(value, str) or not NAME.fullmatch(value) or value in (".", ".."):
                self.mistake(path, f"{key}: must be text of 1 to 100 of the characters A-Z a-z 0-9 . _ -")
            elif value.lower() != expected.lower():
                self.mistake(path, f"{key}: {value} does not fit the folder name {expected}")
        if isinstance(descriptor.get("archiveType"), str) and descriptor["archiveType"] != path.stem:
            self.mistake(path, f"archiveType: must be {path.stem}, like the file name")
        identifier = descriptor.get("referenceIdType")
        if not isinstance(identifier, str) or not identifier.strip():
            self.mistake(path, "referenceIdType: must be text that is not blank")
        days = descriptor.get("expirationDays")
        if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= MAX_EXPIRATION_DAYS:
            self.mistake(path, f"expirationDays: must be a whole number from 1 to {MAX_EXPIRATION_DAYS:,}")
        for key in ("description", "documentationUrl"):
            if not isinstance(descriptor.get(key, ""), str):
                self.mistake(path, f"{key}: must be text")

    def _read_version(
        self, path: Path, descriptor: dict[str, Any], key: str, raw: Any, seen: set[int], *, usable: bool
    ) -> None:
        if not isinstance(raw, dict):
            self.mistake(path, f"{key}: must be {{version, schema}}")
            return
        for name in raw:
            if name in ENCRYPTION_KEYS:
                self.mistake(path, f"{key}.{name}: encryption is not built yet")
            elif name not in VERSION_KEYS:
                self._unknown(path, f"{key}.{name}", name, VERSION_KEYS)
        version, schema = raw.get("version"), raw.get("schema")
        if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version < 2**31:
            self.mistake(path, f"{key}.version: must be a whole number from 1")
            version = None
        elif version in seen:
            self.mistake(path, f"{key}.version: {version} stands twice")
            version = None
        else:
            seen.add(version)
        if not isinstance(schema, str) or "/" in schema or "\\" in schema or schema.startswith("."):
            self.mistake(path, f"{key}.schema: must be the name of a file in this folder")
            return
        extension = next((each for each in EXTENSIONS if schema.endswith("." + each)), None)
        if schema.endswith(".avdl"):
            self.mistake(
                path,
                f"{key}.schema: {schema}: convert it with `avro-tools idl {schema} {schema[:-5]}.avpr` and name that",
            )
        elif extension is None:
            self.mistake(path, f"{key}.schema: {schema}: must end in {', '.join('.' + each for each in EXTENSIONS)}")
        else:
            compiled = self._compile(path.parent / schema, extension, path.stem)
            if compiled is not None and usable and version is not None:
                name_of = SchemaName(descriptor["system"], descriptor["archiveType"], version)
                data_type = ArchiveDataType(
                    name_of, descriptor["referenceIdType"], descriptor["expirationDays"], compiled.file
                )
                self.entries[name_of] = (data_type, compiled)

    def _compile(self, path: Path, extension: str, type_name: str) -> CompiledSchema | None:
        try:
            content = path.read_bytes()
            uri = self._uri(path)
            return compile_schema(content, extension, type_name, uri, self._retrieve)
        except OSError as error:
            self.mistake(path, f"cannot be read: {error.strerror}")
        except ValueError as error:
            self.mistake(path, str(error))
        return None

    def _retrieve(self, uri: str) -> Any:
        """The content that a `$ref` names: a file by its place in the registry, or a schema file by its `$id`."""
        if self.by_id is None:
            self.by_id = self._ids()
        parts = urlsplit(uri)
        named = self.by_id.get(uri, [])
        if len(named) > 1:
            raise LookupError(f"it is the $id of {' and '.join(self._shown(each) for each in named)}")
        path = named[0] if named else None
        if path is None and parts.scheme == "registry" and not parts.netloc:
            path = self.root / unquote(parts.path).lstrip("/")
            if not path.resolve().is_relative_to(self.root.resolve()) or not path.is_file():
                path = None
        if path is None:
            raise LookupError("not in the registry; references are never fetched")
        schema = parse_strict(path.read_bytes(), exact=True)
        own = identifier(schema, self._uri(path))
        if own is not None and own != uri and "$id" in schema:
            raise LookupError(f"refer to it by its $id, {own}")  # its own references start from there
        return schema

    def _ids(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for path in sorted(self.root.rglob("*.schema.json")):
            try:
                schema = parse_strict(path.read_bytes())
            except (OSError, ValueError):
                continue  # reported where the file is used
            own = identifier(schema, self._uri(path))
            if own is not None:
                found.setdefault(own, []).append(path)
        return found

    def _uri(self, path: Path) -> str:
        return ROOT_URI + path.relative_to(self.root).as_posix()

    def _shown(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _parse(self, path: Path) -> Any:
        try:
            return parse_strict(path.read_bytes())
        except OSError as error:
            self.mistake(path, f"cannot be read: {error.strerror}")
        except ValueError as error:
            self.mistake(path, str(error))
        return None

    def _unknown(self, path: Path, where: str, key: str, known: tuple[str, ...]) -> None:
        close = difflib.get_close_matches(key, known, n=1)
        self.mistake(path, f"{where}: unknown key{f', did you mean {close[0]}?' if close else ''}")
