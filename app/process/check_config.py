"""`pas check-config`: settings, archive types and schemas, checked without connecting to anything."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from app.catalog.archive_types import Catalog, CatalogError, load_archive_types
from app.catalog.registry import Registry, load_registry
from app.settings.load import SettingsError, load_settings
from app.settings.model import Settings


class Checked(NamedTuple):
    mistakes: list[str]
    """One readable line each; none where the service would start."""
    checked: list[str]
    """What was looked at, one line each: a file that was not meant is seen here."""


def check(config_path: Path | None, environ: Mapping[str, str]) -> Checked:
    """All mistakes at once.

    Archive types and schemas are checked even where the settings have mistakes, as far as those leave their places
    known, and like at the start only while backfill is enabled.
    """
    mistakes: list[str] = []
    try:
        settings = load_settings(config_path, environ)
    except SettingsError as error:
        if error.settings is None:
            return Checked(error.mistakes, [])
        settings, mistakes = error.settings, error.mistakes
    if not settings.backfill.enabled:
        return Checked(mistakes, ["jeap.processarchive.backfill.enabled is false: nothing else was looked at"])
    try:
        catalog, registry = load_catalog(settings)
    except CatalogError as error:
        return Checked(mistakes + error.mistakes, [])
    types, schemas = len(catalog.configurations), len(registry.entries)
    return Checked(
        mistakes,
        [
            f"archive types: {settings.archive_types_location.absolute()} ({types})",
            f"schemas: {settings.registry_location.absolute()} ({schemas})",
        ],
    )


def load_catalog(settings: Settings) -> tuple[Catalog, Registry]:
    """Archive types and schemas that the settings name. Raises CatalogError with the mistakes of both."""
    mistakes: list[str] = []
    catalog, registry = Catalog(()), Registry({})
    try:
        catalog = load_archive_types(
            settings.archive_types_location, settings.oauth_clients, settings.http.allow_insecure
        )
    except CatalogError as error:
        mistakes += _named("configuration.location", settings.archive_types_location, error)
    try:
        registry = load_registry(settings.registry_location)
    except CatalogError as error:
        mistakes += _named("registry.location", settings.registry_location, error)
    if mistakes:
        raise CatalogError(mistakes)
    return catalog, registry


def _named(name: str, place: Path, error: CatalogError) -> list[str]:
    """The mistakes; where the place is not there, with the property that names it."""
    there = place.exists()
    return error.mistakes if there else [f"jeap.processarchive.{name}: {mistake}" for mistake in error.mistakes]
