"""`pas jobs watch`, and `--wait` of others: follows a job to its end."""

import time
from typing import Any

from app.cli import job_texts
from app.cli.client import Client, connect
from app.cli.exits import Exit
from app.cli.follow import ConnectionLost, follow
from app.cli.jobs import Job, failures_of
from app.cli.options import ANY, Format, Output, ServiceOptions
from app.cli.progress import view
from app.cli.show import thing
from app.cli.streams import say, tell

CAUSES_EVERY = 5.0
"""Seconds between two looks at the failures by cause: counting a million of them takes the service a second."""


def watch(job: Job, /, *, output: Output = "table", service: ServiceOptions = ANY) -> int:
    """Follow a job until it ends: progress, rate, estimated end, failures by cause.

    Ctrl-C leaves the job running. Exit code 3 where references failed.
    """
    with connect(service) as client:
        return watch_job(client, job, output, service)


def watch_job(client: Client, job: str, output: Format, service: ServiceOptions) -> int:
    """Follows it with what is shown on standard error; the end goes to standard output."""
    try:
        last, failures = _followed(client, job)
    except KeyboardInterrupt:
        where = f" --url {service.url}" if service.url else f" --profile {service.profile}" if service.profile else ""
        tell(f"\nJob {job} goes on without you.")
        tell(f"Look again: pas jobs watch {job}{where}\nEnd it:     pas jobs cancel {job}{where}")
        return Exit.INTERRUPTED
    if output == "table":
        say(f"Job {last['jobId']} {_ended(last)}: {job_texts.summary(last, failures)}.")
    else:
        thing(last, (), output)
    if not last["counts"]["failed"]:
        return Exit.WELL
    tell(f"What failed: pas jobs failures {job}   Again, in a new job: pas jobs retry {job}")
    return Exit.FAILED_REFERENCES


def _followed(client: Client, job: str) -> tuple[dict[str, Any], Any]:
    """The job at its end and its failures by cause."""
    last: dict[str, Any] = {}
    failures, failed, looked = None, 0, 0.0
    with view() as shown:
        for snapshot in follow(client, job):
            if isinstance(snapshot, ConnectionLost):
                shown.broken(snapshot.why)
                continue
            last = snapshot
            if last["counts"]["failed"] != failed and time.monotonic() - looked >= CAUSES_EVERY:
                failures, failed, looked = failures_of(client, last), last["counts"]["failed"], time.monotonic()
            shown.job(last, failures)
    if last["counts"]["failed"] != failed:
        failures = failures_of(client, last)
    return last, failures


def _ended(job: dict[str, Any]) -> str:
    state = job_texts.state(job)
    who = f" by {job['cancelledBy']}" if state == "cancelled" and job.get("cancelledBy") else ""
    return {"partially-succeeded": "succeeded in part", "cancelled": f"was cancelled{who}"}.get(state, state)
