"""The present archive type configurations: the file may change while the service runs."""

from dataclasses import dataclass

from app.catalog.archive_types import Catalog


@dataclass(slots=True)
class LiveCatalog:
    """`now` is replaced as a whole when the file has changed and is valid."""

    now: Catalog
