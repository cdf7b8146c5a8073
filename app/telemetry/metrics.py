"""Every metric of the service, with its meaning. Children with fixed labels are made here once, for frequent use."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

disable_created_metrics()  # type: ignore[no-untyped-call] # a gauge more for every counter, which nobody asks for

REGISTRY = CollectorRegistry()
"""All metrics of this process; its own, so that libraries add nothing unseen."""

ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

OF_ALL_PROCESSES = CollectorRegistry()
"""What the process that is asked says of all: only where `pas serve` runs several."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ROWS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)

# Jobs and tasks

JOBS_SUBMITTED = Counter(
    "pas_jobs_submitted", "Accepted jobs; a repeated submission does not count.", registry=REGISTRY
)
JOBS_COMPLETED = Counter(
    "pas_jobs_completed", "Jobs whose last task was recorded, by result.", ["result"], registry=REGISTRY
)
JOBS_WAITING = Gauge(
    "pas_jobs_waiting",
    "Jobs of all processes that wait, by what they wait for, as last counted by this process.",
    ["for"],
    registry=REGISTRY,
)
REFERENCES_SUBMITTED = Counter("pas_references_submitted", "References (tasks) of accepted jobs.", registry=REGISTRY)

_TASKS = Counter("pas_tasks", "Handled commands of tasks, by outcome.", ["outcome"], registry=REGISTRY)
TASKS_SUCCEEDED = _TASKS.labels("succeeded")
TASKS_FAILED = _TASKS.labels("failed")
TASKS_NO_DATA = _TASKS.labels("no_data")
TASKS_PUT_BACK = _TASKS.labels("put_back")
TASKS_ALREADY_SETTLED = _TASKS.labels("already_settled")

TASKS_IN_FLIGHT = Gauge(
    "pas_tasks_in_flight",
    "Tasks being worked on in this process, also those that only have to be announced and recorded.",
    registry=REGISTRY,
)
BYTES_IN_FLIGHT = Gauge("pas_bytes_in_flight", "Bytes of documents in the memory of this process.", registry=REGISTRY)
COMMANDS_OUTSTANDING = Gauge(
    "pas_commands_outstanding",
    "Commands published and not yet answered, by type, as last counted.",
    ["type"],
    registry=REGISTRY,
)

# Messages

COMMANDS_PUBLISHED = Counter("pas_commands_published", "Commands acknowledged by the broker.", registry=REGISTRY)
JOB_EVENTS_PUBLISHED = Counter(
    "pas_job_events_published", "Events of jobs acknowledged by the broker.", registry=REGISTRY
)
PROOFS_MADE = Counter("pas_proofs_made", "Proofs of completed jobs that were signed and stored.", registry=REGISTRY)
PROOFS_FAILED = Counter(
    "pas_proofs_failed", "Proofs of jobs that could not be made; the log says why.", registry=REGISTRY
)
COMMANDS_RECEIVED = Counter("pas_commands_received", "Records polled from the command topic.", registry=REGISTRY)
DEAD_LETTERS = Counter("pas_dead_letters", "Records sent to the dead letter topic.", registry=REGISTRY)

_SENDS = Histogram(
    "pas_send_seconds",
    "Time from the send of a message to its acknowledgement by the broker, by kind of message.",
    ["kind"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
SEND_COMMAND = _SENDS.labels("command")
SEND_EVENT = _SENDS.labels("event")

_LIVE = Counter(
    "pas_live_messages",
    "Messages of live topics: taken (a task was made), known (it came before), condition (one does not hold), "
    "other_type, no_type, other_service, tombstone (all passed over), dead_letter.",
    ["outcome"],
    registry=REGISTRY,
)
LIVE_MESSAGES = {
    outcome: _LIVE.labels(outcome)
    for outcome in (
        "taken",
        "known",
        "condition",
        "other_type",
        "no_type",
        "other_service",
        "tombstone",
        "dead_letter",
    )
}
LIVE_TASKS = Counter("pas_live_tasks", "Tasks made of messages of live topics.", registry=REGISTRY)
LIVE_PYTHON_LATE = Counter(
    "pas_live_python_late", "Calls of Python functions that were left behind, as they took too long.", registry=REGISTRY
)
LIVE_LAG = Gauge(
    "pas_live_lag_messages",
    "Messages of a live topic, in the partitions of this process, that are not taken yet.",
    ["topic"],
    registry=REGISTRY,
)
LIVE_LAG_SECONDS = Gauge(
    "pas_live_lag_seconds",
    "Age of the message of a live topic that was taken last, while others wait behind it; else 0.",
    ["topic"],
    registry=REGISTRY,
)
LIVE_PAYLOAD_BYTES = Gauge(
    "pas_live_payload_bytes", "Bytes of documents of messages that are kept in the database.", registry=REGISTRY
)

# Sources and object store

_FETCHES = Histogram(
    "pas_fetch_seconds",
    "One request to a source, by outcome: ok, no_data, transient (is tried again), permanent.",
    ["outcome"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
FETCH_OK = _FETCHES.labels("ok")
FETCH_NO_DATA = _FETCHES.labels("no_data")
FETCH_TRANSIENT = _FETCHES.labels("transient")
FETCH_PERMANENT = _FETCHES.labels("permanent")
RETRIES = Counter("pas_fetch_retries", "Fetches tried again after a transient failure.", registry=REGISTRY)
SOURCE_LIMIT = Gauge(
    "pas_source_concurrency_limit", "Requests that pacing allows a source at a time.", ["source"], registry=REGISTRY
)
SOURCE_UNAVAILABLE = Gauge(
    "pas_source_unavailable",
    "1 while the source does not answer this process, 0 after that; by archive type and OAuth client.",
    ["archive_type", "client"],
    registry=REGISTRY,
)

UNASKED_ANSWERS = Counter(
    "pas_unasked_answers",
    "Connections closed because bytes arrived that no request had asked for, by component.",
    ["component"],
    registry=REGISTRY,
)

_PUTS = Histogram(
    "pas_put_seconds",
    "One write to the object store, by outcome: created, existed (another version won), failed.",
    ["outcome"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
PUT_CREATED = _PUTS.labels("created")
PUT_EXISTED = _PUTS.labels("existed")
PUT_FAILED = _PUTS.labels("failed")
BYTES_STORED = Counter("pas_stored_bytes", "Bytes of documents written to the object store.", registry=REGISTRY)

# Database

_BATCHES = Histogram(
    "pas_database_batch_rows",
    "Tasks in one transaction: claim (relay), note (places of objects), record (outcomes), look_up.",
    ["kind"],
    buckets=_ROWS,
    registry=REGISTRY,
)
BATCH_CLAIM = _BATCHES.labels("claim")
BATCH_NOTE = _BATCHES.labels("note")
BATCH_RECORD = _BATCHES.labels("record")
BATCH_LOOK_UP = _BATCHES.labels("look_up")

# Metadata

METADATA_RUNS_OPEN = Gauge(
    "pas_metadata_runs_open", "Metadata runs that have not ended, paused ones too, as last counted.", registry=REGISTRY
)

_ARTIFACTS = Counter(
    "pas_metadata_artifacts",
    "Artifacts of recorded batches: processed (all of them), updated (a value changed), failed (an error).",
    ["what"],
    registry=REGISTRY,
)
ARTIFACTS_PROCESSED = _ARTIFACTS.labels("processed")
ARTIFACTS_UPDATED = _ARTIFACTS.labels("updated")
ARTIFACTS_FAILED = _ARTIFACTS.labels("failed")

# The parts around the service

UNAVAILABLE = Gauge(
    "pas_component_unavailable", "1 while work waits for this component, else 0.", ["component"], registry=REGISTRY
)

CONFIGURATION_WELL = Gauge(
    "pas_configuration_well",
    "1 while the present file of the archive types is in force, 0 while it has mistakes and the former one is used.",
    registry=REGISTRY,
)

HTTP_REQUESTS = Histogram(
    "pas_http_request_seconds",
    "Requests answered, by method, route template and status; a stream counts until its end.",
    ["method", "route", "status"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
CONNECTIONS_CLOSED = Counter(
    "pas_http_connections_closed", "Connections closed because of a limit, by reason.", ["reason"], registry=REGISTRY
)

PROCESS_UP = Gauge(
    "pas_process_up",
    "1 while the process of this number answers the one that was asked, else 0: then its metrics are missing. "
    "Only with `--processes`.",
    ["process"],
    registry=OF_ALL_PROCESSES,
)


def render(registry: CollectorRegistry = REGISTRY) -> bytes:
    """The page of /metrics, in the Prometheus text format."""
    return generate_latest(registry)


CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Media type of `render`."""
