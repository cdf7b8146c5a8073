"""The words that the code of the page chooses. What is always there is in the templates."""

from dataclasses import dataclass

from app.api.jobs.models import JobView
from app.archiver.sample import SampleVerdict
from app.domain.errors import Unavailable
from app.domain.jobs import JobChange, JobKind, JobResult, JobState, TaskState
from app.domain.reconciled import ReferenceVerdict
from app.domain.runs import Mode, RunState
from app.domain.search import Comparison
from app.domain.waiting import WaitingFor

NOT_VALID = "The address or the form has mistakes."
WENT_WRONG = "That did not work"
STATUSES = {
    400: "That is not understood",
    403: "That is not allowed",
    404: "There is nothing here",
    409: "That is not possible now",
    410: "That is no longer there",
    412: "The plan no longer holds",
    413: "That is too large",
    415: "That cannot be shown",
    502: "That is not what was archived",
    503: "Not at the moment",
}


def away(outage: Unavailable) -> str:
    name = COMPONENTS.get(outage.component, outage.component)
    return f"The {name} {outage.public_reason}. Nothing was changed; try again."


def unexpected(trace_id: str) -> str:
    return f"Unexpected error; the log has it under trace id {trace_id}."


COMPONENTS = {
    "database": "database",
    "broker": "message broker",
    "objectstore": "object store",
    "issuer": "login service",
    "schema-registry": "schema registry",
    "configuration": "file of archive types",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """A state as people see it: a sign, a word, and a tone that the style sheet knows."""

    sign: str
    word: str
    tone: str


RUNNING = Mark("▸", "running", "run")
WAITING = Mark("…", "waiting", "wait")
PAUSED = Mark("‖", "paused", "wait")
RESULTS = {
    JobResult.SUCCEEDED: Mark("✓", "succeeded", "ok"),
    JobResult.PARTIALLY_SUCCEEDED: Mark("!", "partially succeeded", "warn"),
    JobResult.FAILED: Mark("✕", "failed", "bad"),
}
OUTCOMES = {
    TaskState.OPEN: Mark("○", "open", "run"),
    TaskState.SUCCEEDED: Mark("✓", "succeeded", "ok"),
    TaskState.FAILED: Mark("✕", "failed", "bad"),
}
CANCELLED = Mark("⊘", "cancelled", "warn")
KINDS = {JobKind.BACKFILL: "backfill", JobKind.LIVE: "live"}
WAITS_FOR = {
    WaitingFor.SOURCE: "the source",
    WaitingFor.OBJECT_STORE: "the object store",
    WaitingFor.BROKER: "the message broker",
    WaitingFor.SCHEMA_REGISTRY: "the schema registry",
}
CHANGES = {
    JobChange.PAUSED: "paused",
    JobChange.RESUMED: "resumed",
    JobChange.CANCELLED: "cancelled",
    JobChange.REDRIVEN: "redriven",
    JobChange.RETRIED: "retried",
}


def mark_of(job: JobView) -> Mark:
    """The one word for a job in a list."""
    if job.state is JobState.COMPLETED:
        if job.cancelled_at is not None:
            return CANCELLED
        return RESULTS[job.result or JobResult.SUCCEEDED]
    if job.paused:
        return PAUSED
    return RUNNING if job.waiting is None else WAITING


@dataclass(frozen=True, slots=True)
class JobAct:
    """What can be done to a job. `asks` says what it will do, before it is done."""

    name: str
    title: str
    asks: str
    tone: str = ""


ACTS = {
    "pause": JobAct(
        "pause",
        "Pause",
        "Within a second no further reference is started. References that are under way are finished; nothing is lost. "
        "The job goes on when somebody resumes it.",
    ),
    "resume": JobAct(
        "resume",
        "Resume",
        "The job goes on where it stopped. Failures so far do not count towards the failure threshold again.",
    ),
    "redrive": JobAct(
        "redrive",
        "Redrive",
        "The commands of all open references are sent again, also of those whose source had no data. This is harmless: "
        "what is archived already is not archived twice.",
    ),
    "cancel": JobAct(
        "cancel",
        "Cancel the job",
        "Open references that are not stored yet fail as cancelled, and the job ends. What is stored stays stored. "
        "This cannot be undone; failed references can be retried in a new job.",
        "danger",
    ),
    "retry": JobAct(
        "retry",
        "Retry",
        "A new job is made of the references that have failed so far, and starts at once. This job stays as it is.",
    ),
}


def acts_of(job: JobView) -> list[JobAct]:
    """What the state of a job allows, the most likely first."""
    if job.state is JobState.COMPLETED:
        return [ACTS["retry"]] if job.counts.failed else []
    names = ["resume" if job.paused else "pause", "redrive"]
    names += ["retry"] if job.counts.failed else []
    names += [] if job.cancelled_at is not None else ["cancel"]
    return [ACTS[name] for name in names]


GONE = "The object is no longer in the store; its retention has ended."
ALTERED = (
    "The stored object is not what was archived: its SHA-256 differs. The log names it; `pas verify` looks at all."
)
NOT_TEXT = "The document is not text; download it."

OPERATORS = {
    Comparison.EQ: "is",
    Comparison.NE: "is not",
    Comparison.CONTAINS: "contains",
    Comparison.GT: "is more than",
    Comparison.GTE: "is at least",
    Comparison.LT: "is less than",
    Comparison.LTE: "is at most",
    Comparison.ISNULL: "is empty (true, false)",
}

RUNS = {
    RunState.OPEN: RUNNING,
    RunState.PAUSED: PAUSED,
    RunState.COMPLETED: Mark("✓", "completed", "ok"),
    RunState.CANCELLED: CANCELLED,
    RunState.SUPERSEDED: Mark("↷", "superseded", "warn"),
}

MODES = {
    Mode.MISSING: "missing: fill artifacts that lack a key",
    Mode.FAILED: "failed: read again those whose last reading failed",
    Mode.ALL: "all: read every artifact, overwrite values that differ",
}

RUN_ACTS = {
    "pause": JobAct("pause", "Pause", "No further batch is started; nothing is lost."),
    "resume": JobAct("resume", "Resume", "The run goes on where it stopped."),
    "cancel": JobAct(
        "cancel",
        "Cancel the run",
        "The run ends; the values that it has written stay. An automatic run comes again only when its definition "
        "changes.",
        "danger",
    ),
}

BAD_CSV = "The CSV has mistakes."

VERDICTS = {
    SampleVerdict.WOULD_SUCCEED: Mark("✓", "would succeed", "ok"),
    SampleVerdict.WOULD_FAIL: Mark("✕", "would fail", "bad"),
    SampleVerdict.NO_DATA: Mark("○", "no data yet", "warn"),
    SampleVerdict.NOT_SURE: Mark("?", "not sure", "warn"),
}

RECONCILED = {
    ReferenceVerdict.ARCHIVED: Mark("✓", "archived", "ok"),
    ReferenceVerdict.OPEN: Mark("▸", "under way", "run"),
    ReferenceVerdict.FAILED: Mark("✕", "failed", "bad"),
    ReferenceVerdict.NO_DATA: Mark("○", "no data yet", "warn"),
    ReferenceVerdict.UNKNOWN: Mark("?", "never submitted", "warn"),
    ReferenceVerdict.MISSING: Mark("✕", "object missing", "bad"),
    ReferenceVerdict.DIFFERENT: Mark("✕", "object different", "bad"),
    ReferenceVerdict.UNLOCKED: Mark("!", "object unlocked", "bad"),
}
