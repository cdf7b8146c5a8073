"""The progress of a verification, kept in a file so that it can be continued after an interruption."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from app.domain.jobs import TaskId
from app.verify.findings import FindingCounts
from app.verify.read_back import SchemaProblem

FORMAT = "pas-verify 1"


class StateError(ValueError):
    """The file cannot be used; the message says why and what to do."""


@dataclass(slots=True)
class DamagedSchema:
    """How many objects name this damaged schema file."""

    problem: SchemaProblem
    objects: int = 0


@dataclass(slots=True)
class Progress:
    """All items up to these places are done, printed and counted, except schema files, which are printed last."""

    stored_done: bool = False
    job: str | None = None
    position: int = -1
    bucket: str | None = None
    key: str | None = None
    counts: FindingCounts = field(default_factory=FindingCounts)
    schemas: list[DamagedSchema] = field(default_factory=list)

    @property
    def task(self) -> TaskId | None:
        return None if self.job is None else TaskId(UUID(self.job), self.position)

    @task.setter
    def task(self, place: TaskId) -> None:
        self.job, self.position = str(place.job_id), place.position

    def copy(self) -> "Progress":
        schemas = [replace(each) for each in self.schemas]
        return Progress(
            self.stored_done, self.job, self.position, self.bucket, self.key, FindingCounts(self.counts), schemas
        )


def fingerprint(parts: Sequence[object]) -> str:
    """8 hex digits that identify the scope of a verification: the progress of another scope cannot be used."""
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()[:8]


class StateFile:
    """The progress file of one verification; a file of something else is refused."""

    def __init__(self, path: Path, about: str) -> None:
        self.path = path
        self._about = about
        self._last: dict[str, Any] | None = None

    def load(self) -> Progress | None:
        """The saved progress; None when there is none. Raises StateError for the file of another verification."""
        found = self._read()
        if found is None:
            return None
        if found.get("about") != self._about:
            raise StateError(f"{self.path} belongs to a verification with other options; name another one with --state")
        values = found["progress"]
        schemas = [
            DamagedSchema(SchemaProblem(**each["problem"]), each["objects"]) for each in values.get("schemas", ())
        ]
        return Progress(**{**values, "counts": FindingCounts(values["counts"]), "schemas": schemas})

    def save(self, progress: Progress) -> None:
        """Saves in one step, and only when something changed. Raises OSError."""
        values = {"format": FORMAT, "about": self._about, "progress": asdict(progress)}
        if values == self._last:
            return
        temporary = self.path.with_name(f"{self.path.name}.tmp")
        temporary.write_text(json.dumps(values) + "\n")
        temporary.replace(self.path)
        self._last = values

    def begin(self, progress: Progress) -> None:
        """Makes sure, before hours of work, that progress can be kept. Raises StateError."""
        self._read()
        try:
            self.save(progress)
        except OSError as error:
            reason = error.strerror or str(error)
            raise StateError(f"{self.path}: {reason}; name a file for the progress with --state") from error

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any] | None:
        try:
            text = self.path.read_text()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise StateError(f"{self.path} cannot be read: {error}") from error
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise StateError(f"{self.path} is no file of `pas verify`; name another one with --state")
        return found
