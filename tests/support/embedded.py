"""The embedded service on a data directory: nothing beside it but the source."""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from app.api.auth.dev_issuer import ALL_ROLES, mint
from tests.servers.source import Source
from tests.support.archive_types import write_archive_types
from tests.support.service import Service

COMMANDS = "embedded-createartifact"
EVENTS = "embedded-archived"


class Embedded:
    """Settings and data directory in `directory`; any number of processes may try to serve them."""

    def __init__(self, directory: Path, source: Source, settings: Mapping[str, Any] | None = None) -> None:
        self.data_dir = directory / "data"
        self.config = directory / "application.yml"
        all_settings = {
            "jeap.processarchive.backfill.enabled": True,
            "jeap.processarchive.backfill.topic": COMMANDS,
            "jeap.processarchive.backfill.system-name": "psf",
            "jeap.processarchive.backfill.service-name": "pas",
            "jeap.processarchive.archivedartifact.event-topic": EVENTS,
            "jeap.processarchive.archivedartifact.system-id": "ch.example.psf",
            "jeap.processarchive.archivedartifact.system-name": "PSF",
            "jeap.security.oauth2.resourceserver.system-name": "psf",
            **write_archive_types(directory, source.url, oauth=False),
            **(settings or {}),
        }
        self.config.write_text(yaml.safe_dump(all_settings))

    @property
    def arguments(self) -> list[str]:
        return ["--embedded", "--data-dir", str(self.data_dir), "--config", str(self.config)]

    @cached_property
    def token(self) -> str:
        """As `pas dev-token` prints it."""
        return mint(self.data_dir, ALL_ROLES, "Dora Developer", "0042")

    def service(self, *, forked: bool = True) -> Service:
        """Not started; `with` starts it and waits until it is ready."""
        return Service(self.arguments, lambda: self.token, forked=forked)

    def events(self) -> list[dict[str, Any]]:
        """The lines of the event topic."""
        return self.topic(EVENTS)

    def topic(self, name: str) -> list[dict[str, Any]]:
        text = (self.data_dir / "topics" / f"{name}.jsonl").read_text()
        assert text.endswith("\n")
        return [json.loads(line) for line in text.splitlines()]

    def object_versions(self) -> dict[str, int]:
        """Number of complete versions by key, of data only."""
        found: dict[str, int] = {}
        root = self.data_dir / "objects" / "archive"
        for path in root.glob("PSF/**/*.json"):
            key = str(path.parent.relative_to(root))
            found[key] = found.get(key, 0) + 1
        return found
