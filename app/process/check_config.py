"""`pas check-config`: settings, archive types and schemas, checked without connecting to anything."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from app.catalog.archive_types import Catalog, CatalogError, load_archive_types
from app.catalog.own_topics import NO_TOPICS, OwnTopics
from app.catalog.registry import Registry, load_registry
from app.live.intake import live_topics
from app.messaging.dead_letters import dead_letter_topic
from app.settings.checks import missing_settings
from app.settings.load import SettingsError, load_settings
from app.settings.model import Settings


class CheckedSettings(NamedTuple):
    mistakes: list[str]
    """One readable line each; none where the service would start."""
    checked: list[str]
    """The checked files, one line each: shows when a wrong file was checked."""
    settings: Settings | None = None
    """As far as they could be read."""


def check(config_path: Path | None, environ: Mapping[str, str], *, embedded: Path | None = None) -> CheckedSettings:
    """Checks settings, archive types and schemas; returns all mistakes at once.

    `embedded` is the data directory of embedded mode: then only what that mode needs is checked.

    Archive types and schemas are checked even when the settings have mistakes, as long as the settings still say where
    those files are. As at the start of the service, they are checked only while something is archived: backfill is
    enabled, or archive types are live.
    """
    mistakes: list[str] = []
    try:
        settings = load_settings(config_path, environ, embedded=embedded)
    except SettingsError as error:
        if error.settings is None:
            return CheckedSettings(error.mistakes, [])
        settings, mistakes = error.settings, error.mistakes
    mode = [] if settings.data_dir is None else _embedded(settings, settings.data_dir, mistakes)
    if not settings.backfill.enabled and not _may_be_live(settings):
        looked = ["jeap.processarchive.backfill.enabled is false: nothing else was looked at"]
        return CheckedSettings(mistakes, looked + mode, settings)
    try:
        catalog, registry = load_catalog(settings)
    except CatalogError as error:
        return CheckedSettings(mistakes + error.mistakes, [], settings)
    if not settings.backfill.enabled:
        mistakes += live_only_mistakes(settings, catalog)
    types, schemas = len(catalog.configurations), len(registry.entries)
    registry.close()
    return CheckedSettings(
        mistakes,
        [
            f"archive types: {settings.archive_types_location.absolute()} ({types})",
            f"schemas: {settings.registry_location.absolute()} ({schemas})",
            *mode,
        ],
        settings,
    )


def _embedded(settings: Settings, data_dir: Path, mistakes: list[str]) -> list[str]:
    """The result for embedded mode. The data directory is not made; a directory that could not be made is a mistake."""
    there = next(place for place in (data_dir, *data_dir.parents) if os.access(place, os.F_OK))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        mistakes.append(f"--data-dir: {data_dir} cannot be made or written; name another directory")
    looked = [f"embedded, data directory: {data_dir}", "embedded: no server is needed, and none was looked at"]
    if settings.replaced:
        looked.append(f"embedded, replaced and not looked at: {', '.join(settings.replaced)}")
    return looked


def _may_be_live(settings: Settings) -> bool:
    return settings.live.enabled and settings.archive_types_location.is_file()


def is_archiving(settings: Settings) -> bool:
    """Whether anything is archived: without backfill only where archive types are live.

    Raises CatalogError when the archive types have mistakes, SettingsError when live archiving lacks a setting.
    """
    if settings.backfill.enabled:
        return True
    if not _may_be_live(settings):
        return False
    catalog, registry = load_catalog(settings)
    registry.close()
    if mistakes := live_only_mistakes(settings, catalog):
        raise SettingsError(mistakes, settings)
    return bool(live_topics(catalog))


def live_only_mistakes(settings: Settings, catalog: Catalog) -> list[str]:
    """What live archiving lacks where backfill is not enabled."""
    if not live_topics(catalog):
        return []
    reason = (
        f"{settings.archive_types_location} has live archive types; or set jeap.processarchive.live.enabled to false"
    )
    return [f"{name}: {problem}" for name, problem in missing_settings(settings, reason)]


def load_catalog(settings: Settings) -> tuple[Catalog, Registry]:
    """Reads the archive types and schemas that the settings name. Raises CatalogError with the mistakes of both."""
    registry, mistakes = None, []
    try:
        registry = load_registry(settings.registry_location)
    except CatalogError as error:
        mistakes = _named("registry.location", settings.registry_location, error)
    try:
        catalog = load_catalog_with(settings, registry)
    except CatalogError as error:
        raise CatalogError(error.mistakes + mistakes) from None
    if registry is None:
        raise CatalogError(mistakes)
    return catalog, registry


def load_catalog_with(settings: Settings, registry: Registry | None) -> Catalog:
    """Reads the archive types, the schemas of their payloads compared with a registry that was read before.

    Raises CatalogError. With None, nothing is said of schemas.
    """
    location = settings.archive_types_location
    payload_mistake = None if registry is None else registry.payload_mistake
    try:
        return load_archive_types(
            location, settings.oauth_clients, settings.http.allow_insecure, payload_mistake, _own_topics(settings)
        )
    except CatalogError as error:
        raise CatalogError(_named("configuration.location", location, error)) from None


def _own_topics(settings: Settings) -> OwnTopics:
    """None while live archiving is switched off: then no topic of an archive type is read."""
    if not settings.live.enabled:
        return NO_TOPICS
    group, topic = "jeap.processarchive.", settings.backfill.topic
    dead_letters = {settings.live.dead_letter_topic: group + "live.dead-letter-topic"}
    if topic:
        dead_letters[dead_letter_topic(topic)] = f"the dead letter topic of {group}backfill.topic"
    event = settings.archived_artifact
    return OwnTopics(
        commands={topic: group + "backfill.topic"},
        dead_letters=dead_letters,
        artifact_events={event.event_topic: group + "archivedartifact.event-topic"} if event.enabled else {},
    )


def _named(name: str, place: Path, error: CatalogError) -> list[str]:
    """The mistakes; a file or folder that does not exist is named together with the property that names it."""
    there = place.exists()
    return error.mistakes if there else [f"jeap.processarchive.{name}: {mistake}" for mistake in error.mistakes]
