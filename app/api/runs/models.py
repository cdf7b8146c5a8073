"""The JSON of metadata runs, and the body that asks for a run."""

from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from app.api.shapes.moments import Moment
from app.domain.json_lines import on_one_line
from app.domain.runs import Mode, Run, RunState
from app.metadata.control import DryRun, TriedArtifact, estimated_end
from app.metadata.wanted import WantedRun

MAX_KEYS = 1000

_CAMEL = ConfigDict(alias_generator=to_camel, populate_by_name=True)
Key = Annotated[str, Field(min_length=1, max_length=255)]


class RunRequest(BaseModel):
    """A run by hand. Without `configId` the only configuration of the message type, without `keys` all active keys."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True)

    message_type: Annotated[str, Field(min_length=1, description="name of the message, as configured")]
    config_id: Annotated[str | None, Field(description="selects among several configurations")] = None
    keys: Annotated[
        list[Key] | None, Field(min_length=1, max_length=MAX_KEYS, description="of its active keys; without, all")
    ] = None
    mode: Annotated[
        Literal["missing", "failed", "all"],
        Field(
            description="`missing`: artifacts that lack a key, whose values are filled; `failed`: those whose last "
            "reading failed; `all`: every one, values that differ are overwritten"
        ),
    ] = "missing"
    dry_run: Annotated[bool, Field(description="writes nothing and tells what would be done")] = False

    @property
    def wanted(self) -> WantedRun:
        return WantedRun(self.message_type, self.config_id, tuple(self.keys or ()), Mode(self.mode))


class RunView(BaseModel):
    """The present state of a run. `total`, `processed`, `updated` and `failed` count artifacts, `null` counts
    values."""

    model_config = _CAMEL

    id: UUID
    message_type: str
    config_id: str | None
    keys: list[str]
    mode: Annotated[Mode, Field(description="`automatic` where a changed definition owed it")]
    revision: Annotated[int, Field(description="of the definition that artifacts are brought to")]
    all_versions: Annotated[bool, Field(description="superseded objects too")]
    state: RunState
    total: int
    processed: int
    updated: Annotated[int, Field(description="artifacts of which at least one value was written")]
    null: Annotated[int, Field(description="values written as null: the document has nothing at the path")]
    failed: Annotated[int, Field(description="artifacts that could not be read: see `errors`")]
    started: Moment
    completed: Annotated[Moment | None, Field(description="when it ended, in whatever way")]
    rate: Annotated[float | None, Field(description="artifacts per second since the start")]
    estimated_end: Moment | None
    started_by_name: str | None
    started_by_ext_id: str | None

    @classmethod
    def of(cls, run: Run) -> "RunView":
        return cls(**_shown(run))


class RunError(BaseModel):
    """An artifact that could not be read. `resolved`: a later run read it."""

    artifact: Annotated[int, Field(description="its id: `/api/artifacts/{id}`")]
    message: str
    at: Moment
    resolved: bool


class RunDetail(RunView):
    errors: Annotated[list[RunError], Field(description="the first ones; all are under `/errors`")]

    @classmethod
    def with_errors(cls, run: Run, errors: list[RunError]) -> "RunDetail":
        return cls(**_shown(run), errors=errors)


class RunPage(BaseModel):
    items: list[RunView]
    next: Annotated[str | None, Field(description="`cursor` of the next page")]


class RunErrorPage(BaseModel):
    items: list[RunError]
    next: Annotated[str | None, Field(description="`cursor` of the next page")]


class DryRunSampleView(BaseModel):
    """The effect of a run on one artifact; `new` is null when the artifact cannot be read, and `error` says why."""

    artifact: int
    old: Annotated[dict[str, Any], Field(description="the values it has of these keys; a key that is absent has none")]
    new: Annotated[dict[str, Any] | None, Field(description="the values that it would have")]
    error: Annotated[str | None, Field(description="only where it cannot be read")] = None


class DryRunView(BaseModel):
    total: Annotated[int, Field(description="artifacts that the run would read")]
    sample: Annotated[list[DryRunSampleView], Field(description="the newest of them, at most 10")]


def _shown(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "message_type": run.message_type,
        "config_id": run.config_id,
        "keys": list(run.keys),
        "mode": run.mode,
        "revision": run.revision,
        "all_versions": run.all_versions,
        "state": run.state,
        "total": run.total,
        "processed": run.processed,
        "updated": run.updated,
        "null": run.nulls,
        "failed": run.failed,
        "started": run.started,
        "completed": run.completed,
        "rate": run.rate,
        "estimated_end": estimated_end(run),
        "started_by_name": run.started_by_name,
        "started_by_ext_id": run.started_by_ext_id,
    }


def dry_run_json(dry_run: DryRun) -> bytes:
    """The JSON of a `DryRunView`; stored values are copied as text, exactly."""
    return on_one_line(orjson.dumps({"total": dry_run.total, "sample": [_sample(each) for each in dry_run.sample]}))


def _sample(tried: TriedArtifact) -> dict[str, Any]:
    error = {} if tried.error is None else {"error": tried.error}
    return {"artifact": tried.artifact_id, "old": _exact(tried.old), "new": _exact(tried.new), **error}


def _exact(values: dict[str, str] | None) -> dict[str, orjson.Fragment] | None:
    return None if values is None else {key: orjson.Fragment(json) for key, json in values.items()}
