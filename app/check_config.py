"""`pas check-config`: settings, archive types and schemas, checked without connecting to anything."""

from collections.abc import Mapping
from pathlib import Path

from app.catalog.archive_types import Catalog, CatalogError, load_archive_types
from app.catalog.registry import Registry, load_registry
from app.settings import Settings, SettingsError, load_settings


def check(config_path: Path | None, environ: Mapping[str, str]) -> list[str]:
    """All mistakes, one readable line each; empty where the service would start.

    Archive types and schemas are checked even where the settings have mistakes, as far as those leave their places
    known, and like at the start only while backfill is enabled.
    """
    try:
        settings = load_settings(config_path, environ)
    except SettingsError as error:
        if error.settings is None:
            return error.mistakes
        return error.mistakes + (catalog_mistakes(error.settings) if error.settings.backfill.enabled else [])
    return catalog_mistakes(settings) if settings.backfill.enabled else []


def load_catalog(settings: Settings) -> tuple[Catalog, Registry]:
    """Archive types and schemas that the settings name. Raises CatalogError with the mistakes of both."""
    mistakes: list[str] = []
    catalog, registry = Catalog(()), Registry({})
    try:
        catalog = load_archive_types(
            settings.archive_types_location, settings.oauth_clients, settings.http.allow_insecure
        )
    except CatalogError as error:
        mistakes += error.mistakes
    try:
        registry = load_registry(settings.registry_location)
    except CatalogError as error:
        mistakes += error.mistakes
    if mistakes:
        raise CatalogError(mistakes)
    return catalog, registry


def catalog_mistakes(settings: Settings) -> list[str]:
    try:
        load_catalog(settings)
    except CatalogError as error:
        return error.mistakes
    return []
