"""The findings of a verification, one line each, and its counts: as text for people or as JSON lines."""

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TextIO


class FindingKind(StrEnum):
    """The kinds of findings; each one leads to exit code 1."""

    MISSING = "missing"
    """The version that the database names is not there."""
    DIFFERENT = "different"
    """Content, size or metadata are not what the database says."""
    UNLOCKED = "unlocked"
    """No lock, a lock that ends too early, or a weaker mode than the settings ask for."""
    UNREADABLE = "unreadable"
    """The store answers but does not give this object."""
    UNKNOWN = "unknown"
    """An object of ours that no task knows."""


@dataclass(frozen=True, slots=True)
class Difference:
    what: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Finding:
    """`job` and `reference` are None when an unknown object does not name them; the place is None when a row does not.

    `objects` is the number of objects that share the cause, when the cause is not in one object.
    """

    kind: FindingKind
    job: str | None
    reference: str | None
    version: int | None
    bucket: str | None
    key: str | None
    version_id: str | None
    differences: tuple[Difference, ...]
    objects: int | None = None

    def as_text(self) -> str:
        """One line; texts that a source could have chosen are quoted, so that they cannot imitate or hide anything."""
        fields = (
            ("job", self.job),
            ("reference", self.reference),
            ("version", self.version),
            ("bucket", self.bucket),
            ("key", self.key),
            ("version-id", self.version_id),
            *([] if self.objects is None else [("objects", self.objects)]),
        )
        where = " ".join(f"{name}={_plain(value)}" for name, value in fields)
        what = "; ".join(
            f"{each.what}: expected {_plain(each.expected)}, found {_plain(each.found)}" for each in self.differences
        )
        return f"{self.kind} {where} {what}"

    def as_json(self) -> str:
        return json.dumps(
            {
                "kind": self.kind,
                "job": self.job,
                "reference": self.reference,
                "version": self.version,
                "bucket": self.bucket,
                "key": self.key,
                "versionId": self.version_id,
                **({} if self.objects is None else {"objects": self.objects}),
                "differences": [
                    {"what": each.what, "expected": each.expected, "found": each.found} for each in self.differences
                ],
            }
        )


class FindingCounts(dict[str, int]):
    """Name → number; a name that was never counted has 0."""

    def __missing__(self, name: str) -> int:
        return 0

    @property
    def findings(self) -> int:
        return sum(self[kind] for kind in FindingKind)


_STORED = ("ok", FindingKind.MISSING, FindingKind.DIFFERENT, FindingKind.UNLOCKED, FindingKind.UNREADABLE, "expired")
_UNKNOWN = ("known", FindingKind.UNKNOWN, "pending", "schema", "other")
"""The counts of each of the two checks, beside the findings of both."""


class Report:
    """Writes findings as they come, and the counts at the end."""

    def __init__(self, out: TextIO, *, as_json: bool = False) -> None:
        self._out = out
        self._as_json = as_json

    def finding(self, finding: Finding) -> None:
        self._line(finding.as_json() if self._as_json else finding.as_text())

    def summary(self, counts: FindingCounts, *, stored: bool, unknown: bool) -> None:
        """`stored` and `unknown` say which of the two checks were done."""
        if self._as_json:
            asked = (("tasks", "bytes", *_STORED) if stored else ()) + (("versions", *_UNKNOWN) if unknown else ())
            summary = {**{str(name): counts[name] for name in asked}, **counts, "findings": counts.findings}
            self._line(json.dumps({"summary": summary}))
            return
        if stored:
            self._line(
                f"stored: {counts['tasks']} tasks, {counts['bytes']} bytes read: {_counts_text(counts, _STORED)}"
            )
        if unknown:
            self._line(f"buckets: {counts['versions']} versions: {_counts_text(counts, _UNKNOWN)}")
        self._line(f"findings: {counts.findings}")

    def _line(self, text: str) -> None:
        self._out.write(text + "\n")
        self._out.flush()


def _counts_text(counts: FindingCounts, names: tuple[str, ...]) -> str:
    return ", ".join(f"{counts[name]} {name}" for name in names)


def _plain(value: object) -> str:
    if value is None:
        return "-"
    text = str(value)
    return text if re.fullmatch(r"[!#-\[\]-~]+", text) and text != "-" else json.dumps(text)
