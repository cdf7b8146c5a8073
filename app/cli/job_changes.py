"""`pas jobs pause, resume, cancel, redrive, retry`: what changes a job."""

from typing import Annotated
from uuid import uuid4

from cyclopts import Parameter

from app.cli import job_texts
from app.cli.client import connect, path_of
from app.cli.exits import NoAnswer, perhaps
from app.cli.jobs import Job
from app.cli.options import ANY, Format, Output, ServiceOptions
from app.cli.show import thing
from app.cli.streams import say, tell


def _change(what: str, job: str, outcome: str, output: Format, service: ServiceOptions) -> None:
    with connect(service) as client:
        found = client.post(path_of("api", "jobs", job, what))
    if output == "table":
        say(f"Job {found['jobId']} {outcome}: {job_texts.summary(found)}.")
    else:
        thing(found, (), output)


def pause(job: Job, /, *, output: Output = "table", service: ServiceOptions = ANY) -> None:
    """Pause a job: within a second no further reference starts, nothing is lost."""
    _change("pause", job, "is paused", output, service)


def resume(job: Job, /, *, output: Output = "table", service: ServiceOptions = ANY) -> None:
    """Go on with a paused job where it was."""
    _change("resume", job, "goes on", output, service)


def cancel(job: Job, /, *, output: Output = "table", service: ServiceOptions = ANY) -> None:
    """End a job: open references that are not stored fail, what is stored stays."""
    _change("cancel", job, "is cancelled", output, service)


def redrive(job: Job, /, *, output: Output = "table", service: ServiceOptions = ANY) -> None:
    """Set off open references again, those whose source had no data too; harmless to repeat."""
    _change("redrive", job, "was set off again", output, service)


def retry(
    job: Job,
    /,
    *,
    job_id: Annotated[str | None, Parameter(help="Id of the new job. [default: a random UUID]")] = None,
    cause: Annotated[str | None, Parameter(help="Only references that failed of this cause.")] = None,
    output: Output = "table",
    service: ServiceOptions = ANY,
) -> None:
    """Put what failed into a new job; `failures` shows the causes."""
    new = job_id or str(uuid4())
    body = {"jobId": new, **({"cause": cause} if cause is not None else {})}
    with connect(service) as client:
        try:
            found = client.post(path_of("api", "jobs", job, "retry"), body)
        except NoAnswer as unreached:
            raise perhaps(unreached, f"--job-id {new}") from unreached
    if output != "table":
        thing(found, (), output)
        return
    say(f"Job {found['jobId']} retries {job_texts.number(found['counts']['total'], 'reference')} of {job}.")
    tell(f"Follow it: pas jobs watch {found['jobId']}")
