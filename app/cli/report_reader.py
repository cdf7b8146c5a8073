"""Reads the report of a job, reference by reference, in flat memory."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

from app.domain.jobs import TaskState

REFERENCES = "archiveDataReferences"

HEAD = {
    "message",
    "topic",
    "config-id",
    "job-state",
    "job-result",
    "job-id",
    "started",
    "report-created",
    "started-by-name",
    "started-by-ext_id",
}
"""The keys before the references."""


class ReportError(ValueError):
    """The text is no report of a job."""


class ReportedReference(NamedTuple):
    """A reference as the report has it; texts as they are written."""

    id: str
    version: str | None
    state: str
    message: str | None
    trace_id: str | None = None


@dataclass
class ReportReader:
    """`head` has the keys before the references, once the first of these was read."""

    stream: BinaryIO
    head: dict[str, str] = field(default_factory=dict)

    def references(self) -> Iterator[ReportedReference]:
        """Raises ReportError, also where the text goes on behind the references."""
        from yaml import CSafeLoader  # libyaml: a million references in seconds

        events = _Events(CSafeLoader(self.stream))
        try:
            for kind in ("StreamStart", "DocumentStart", "MappingStart"):
                events.expect(kind)
            while (key := events.expect("Scalar").value) != REFERENCES:
                if key in self.head:
                    raise ReportError(f"{key} is there twice")
                if key not in HEAD:
                    raise ReportError(f"{key} is no key of the report of a job")
                self.head[key] = events.expect("Scalar").value
            events.expect("SequenceStart")
            while (event := events.next()) is not None and _is(event, "MappingStart"):
                yield _reference(events.mapping())
            for kind in ("MappingEnd", "DocumentEnd", "StreamEnd"):
                events.expect(kind)
        except ReportError:
            raise
        except Exception as error:  # errors of the parser have many classes
            raise ReportError(" ".join(str(error).split())) from error


class _Events:
    def __init__(self, parser: Any) -> None:
        self._parser = parser

    def next(self) -> Any:
        return self._parser.get_event()

    def expect(self, kind: str) -> Any:
        event = self.next()
        if not _is(event, kind):
            raise ReportError(f"is no report of a job: {kind} was expected")
        return event

    def mapping(self) -> dict[str, Any]:
        """The values of a mapping that has begun: texts, and mappings of texts."""
        found: dict[str, Any] = {}
        while _is(event := self.next(), "Scalar"):
            if event.value in found:
                raise ReportError(f"{event.value} is there twice")
            value = self.next()
            if not _is(value, "Scalar") and not _is(value, "MappingStart"):
                raise ReportError("is no report of a job")
            found[event.value] = value.value if _is(value, "Scalar") else self.mapping()
        if not _is(event, "MappingEnd"):
            raise ReportError("is no report of a job")
        return found


def _is(event: Any, kind: str) -> bool:
    return type(event).__name__ == f"{kind}Event"


def _reference(values: dict[str, Any]) -> ReportedReference:
    failed = "error" in values
    error = values.pop("error", {})
    id_, version, state = (values.pop(name, None) for name in ("id", "version", "state"))
    if values or not isinstance(error, dict) or not error.keys() <= {"message", "traceId"}:
        raise ReportError("a reference has other keys than a report")
    if not isinstance(id_, str) or not isinstance(state, str):
        raise ReportError("a reference has no id or no state")
    if failed and state != TaskState.FAILED:
        raise ReportError(f"has an error of a reference that did not fail: {id_}")
    return ReportedReference(id_, version, state, error.get("message"), error.get("traceId"))
