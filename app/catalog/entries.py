"""Makes an ArchiveTypeConfiguration of one entry of `archiveTypes:`, or lists the mistakes in the entry."""

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from app.catalog.templates import template_mistakes
from app.domain.archive_types import ArchiveTypeConfiguration, ExtractionPath
from app.domain.paths import parse_path

LIVE_FLOW_KEYS = ("reference", "payload", "condition", "processId")
PATHS_KEYS = ("metadata_extraction_paths", "metadataExtractionPaths")
KEYS = ("messageType", "topic", "uri", "oauthClientId", "id", *PATHS_KEYS, *LIVE_FLOW_KEYS)
PAYLOAD_KEYS = ("path", "system", "schema", "schemaVersion", "contentType")
MAX_KEY = 255
TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
UNUSABLE = re.compile(r"[\x00-\x1f\ud800-\udfff]")
"""Control characters, and half surrogate pairs, which no database takes; only an escape can write them."""


@dataclass(slots=True)
class Entry:
    """One entry of the file, and the list that collects its mistakes."""

    index: int
    raw: Any
    line: int | None
    mistakes: list[str]
    file: str

    def mistake(self, key: str, problem: str) -> None:
        name = self.raw.get("messageType") if isinstance(self.raw, Mapping) else None
        named = f" ({name})" if isinstance(name, str) and name.strip() else ""
        line = f" line {self.line}" if self.line else ""
        self.mistakes.append(f"{self.file}{line}: archiveTypes[{self.index}]{named}: {key}: {problem}")

    def text(self, key: str, *, required: bool = False) -> str | None:
        """A text that is not blank; None where the key is absent or wrong."""
        value = self.raw.get(key)
        if value is None:
            if required:
                self.mistake(key, "missing")
            return None
        return self.checked_text(key, value)

    def checked_text(self, key: str, value: Any) -> str | None:
        if not isinstance(value, str):
            self.mistake(key, "must be text; put it in quotes")
        elif not value.strip() or UNUSABLE.search(value):
            self.mistake(key, "must not be blank or contain control characters or half of a surrogate pair")
        elif key in ("messageType", "id") and len(value) > MAX_KEY:
            self.mistake(key, f"must have at most {MAX_KEY} characters")
        else:
            return str(value.strip())
        return None

    def check_keys(self, key: str, value: Mapping[Any, Any], known: Collection[str]) -> None:
        for name in value:
            if name not in known:
                close = difflib.get_close_matches(str(name), known, n=1)
                hint = f", did you mean {close[0]}?" if close else ""
                self.mistake(f"{key}.{name}" if key else str(name), f"unknown key{hint}")


def read_entry(
    entry: Entry, oauth_client_ids: Collection[str], *, allow_insecure: bool
) -> ArchiveTypeConfiguration | None:
    """The configuration; None when message type or topic is missing. Mistakes are noted in the entry."""
    if not isinstance(entry.raw, Mapping):
        entry.mistake("archiveTypes", "must be a configuration with messageType, topic and uri")
        return None
    entry.check_keys("", entry.raw, KEYS)
    message_type = entry.text("messageType", required=True)
    topic = entry.text("topic", required=True)
    if topic is not None and (not TOPIC.fullmatch(topic) or topic in (".", "..")):
        entry.mistake("topic", "must be a topic name: at most 249 of the characters A-Z a-z 0-9 . _ -")
    uri = entry.text("uri")
    for problem in template_mistakes(uri, allow_insecure=allow_insecure) if uri is not None else ():
        entry.mistake("uri", problem)
    if entry.raw.get("uri") is None and entry.raw.get("payload") is None:
        entry.mistake("uri", "neither uri nor payload is given: there is nothing to archive")
    client = entry.text("oauthClientId")
    if client is not None and client not in oauth_client_ids:
        known = ", ".join(sorted(oauth_client_ids)) or "none"
        entry.mistake(
            "oauthClientId", f"no jeap.security.oauth2.client.{client} in the settings; configured are: {known}"
        )
    identifier = entry.text("id")
    paths = _extraction_paths(entry)
    _check_live_flow(entry)
    if message_type is None or topic is None:
        return None
    return ArchiveTypeConfiguration(message_type, topic, uri, client, identifier, paths)


def _extraction_paths(entry: Entry) -> tuple[ExtractionPath, ...]:
    given = [key for key in PATHS_KEYS if key in entry.raw]
    if len(given) == 2:
        entry.mistake(PATHS_KEYS[1], f"{PATHS_KEYS[0]} is given too; keep one")
    raw = entry.raw.get(given[0]) if given else None
    if raw is None:
        return ()
    name = given[0]
    if not isinstance(raw, list):
        entry.mistake(name, "must be a list of {key, path}")
        return ()
    found: list[ExtractionPath] = []
    keys: set[str] = set()
    for index, item in enumerate(raw):
        place = f"{name}[{index}]"
        if not isinstance(item, Mapping):
            entry.mistake(place, "must be {key, path}")
            continue
        entry.check_keys(place, item, ("key", "path"))
        key, path = item.get("key"), item.get("path")
        usable = isinstance(key, str) and key.strip() != "" and not UNUSABLE.search(key) and len(key) <= MAX_KEY
        if not usable:
            entry.mistake(
                f"{place}.key",
                f"must be text of 1 to {MAX_KEY} characters, without control characters and half surrogate pairs",
            )
        elif key in keys:
            entry.mistake(f"{place}.key", f"{key} stands twice in the list")
        problem = _path_mistake(path) if isinstance(path, str) else "must be text, for example customer.id"
        if problem:
            entry.mistake(f"{place}.path", problem)
        elif usable:
            found.append(ExtractionPath(str(key), str(path)))
        keys.add(str(key))
    return tuple(found)


def _check_live_flow(entry: Entry) -> None:
    """Checks the form of the keys of the normal flow (contract, section 8)."""
    reference, payload, condition = (entry.raw.get(key) for key in LIVE_FLOW_KEYS[:3])
    if reference is not None:
        _check_paths(entry, "reference", reference, required=("id",), optional=("version",))
    if entry.raw.get("processId") is not None:
        _check_path(entry, "processId", entry.raw["processId"])
    if payload is not None and entry.raw.get("uri") is not None:
        entry.mistake("payload", "uri is given too: the data comes from the source or from the message, not from both")
    if isinstance(payload, Mapping):
        entry.check_keys("payload", payload, PAYLOAD_KEYS)
        for key in ("path", "system", "schema", "contentType"):
            if payload.get(key) is None:
                if key != "contentType":
                    entry.mistake(f"payload.{key}", "missing")
            elif key == "path":
                _check_path(entry, "payload.path", payload["path"])
            else:
                entry.checked_text(f"payload.{key}", payload[key])
        version = payload.get("schemaVersion")
        if isinstance(version, bool) or not isinstance(version, int) or version < 1:
            entry.mistake("payload.schemaVersion", "must be a whole number from 1")
    elif payload is not None:
        entry.mistake("payload", f"must have {', '.join(PAYLOAD_KEYS)}")
    if isinstance(condition, Mapping):
        entry.check_keys("condition", condition, ("path", "value"))
        _check_path(entry, "condition.path", condition.get("path"))
        if not isinstance(condition.get("value"), str | int | float | bool):
            entry.mistake("condition.value", "must be text, a number, true or false")
    elif condition is not None:
        entry.mistake("condition", "must have path and value")


def _check_paths(entry: Entry, key: str, value: Any, *, required: tuple[str, ...], optional: tuple[str, ...]) -> None:
    if not isinstance(value, Mapping):
        entry.mistake(key, f"must have {', '.join(required + optional)}")
        return
    entry.check_keys(key, value, required + optional)
    for name in required + optional:
        if name in required or value.get(name) is not None:
            _check_path(entry, f"{key}.{name}", value.get(name))


def _check_path(entry: Entry, key: str, value: Any) -> None:
    problem = "missing" if value is None else _path_mistake(value) if isinstance(value, str) else "must be text"
    if problem:
        entry.mistake(key, problem)


def _path_mistake(path: str) -> str | None:
    try:
        parse_path(path)
    except ValueError as error:
        return str(error)
    return None
