"""Makes an ArchiveTypeConfiguration of one entry of `archiveTypes:`, or lists the mistakes in the entry."""

import re
from collections.abc import Collection, Mapping

from app.catalog.entry import MAX_KEY, UNUSABLE, FileEntry
from app.catalog.live_entries import LIVE_KEYS, read_live
from app.catalog.live_payloads import PayloadMistake
from app.catalog.own_topics import OwnTopics
from app.catalog.templates import template_mistakes
from app.domain.archive_types import ArchiveTypeConfiguration, ExtractionPath

PATHS_KEYS = ("metadata_extraction_paths", "metadataExtractionPaths")
KEYS = ("messageType", "topic", "uri", "oauthClientId", "id", *PATHS_KEYS, *LIVE_KEYS)
TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


def read_entry(
    entry: FileEntry,
    oauth_client_ids: Collection[str],
    *,
    allow_insecure: bool,
    payload_mistake: PayloadMistake | None,
    own_topics: OwnTopics,
) -> ArchiveTypeConfiguration | None:
    """The configuration; None when message type or topic is missing. Mistakes are noted in the entry.

    `payload_mistake` says what is wrong with data of a schema and content type; None: nothing is known of schemas.
    """
    if not isinstance(entry.raw, Mapping):
        entry.mistake("archiveTypes", "must be a configuration with messageType, topic and uri")
        return None
    entry.check_keys("", entry.raw, KEYS)
    message_type = entry.text("messageType", required=True)
    topic = entry.text("topic", required=True)
    if topic is not None and (not TOPIC.fullmatch(topic) or topic in (".", "..")):
        entry.mistake("topic", "must be a topic name: at most 249 of the characters A-Z a-z 0-9 . _ -")
    elif topic is not None and entry.raw.get("reference") is not None:
        problem = own_topics.mistake(topic, announces=entry.raw.get("announce") is not False)
        if problem is not None:
            entry.mistake("topic", problem)
    uri = entry.text("uri")
    for problem in template_mistakes(uri, allow_insecure=allow_insecure) if uri is not None else ():
        entry.mistake("uri", problem)
    if entry.raw.get("uri") is None and "payload" not in entry.raw:
        entry.mistake("uri", "neither uri nor payload is given: there is nothing to archive")
    client = entry.text("oauthClientId")
    if client is not None and client not in oauth_client_ids:
        known = ", ".join(sorted(oauth_client_ids)) or "none"
        entry.mistake(
            "oauthClientId", f"no jeap.security.oauth2.client.{client} in the settings; configured are: {known}"
        )
    identifier = entry.text("id")
    paths = _extraction_paths(entry)
    live = read_live(entry, payload_mistake)
    if message_type is None or topic is None:
        return None
    return ArchiveTypeConfiguration(message_type, topic, uri, client, identifier, paths, live)


def _extraction_paths(entry: FileEntry) -> tuple[ExtractionPath, ...]:
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
        if entry.path(f"{place}.path", path) is not None and usable:
            found.append(ExtractionPath(str(key), str(path)))
        keys.add(str(key))
    return tuple(found)
