"""`pas jobs`: list and show jobs, their failures and their references; preflight."""

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from app.cli import job_texts, pages
from app.cli.client import Client, connect, path_of
from app.cli.exits import Answered, Exit
from app.cli.files import read_bytes
from app.cli.options import ANY, Format, Output, ServiceOptions
from app.cli.preflight_texts import show_preflight
from app.cli.show import rows, thing
from app.cli.streams import tell

app = App(name="jobs", help="Look at backfill jobs, follow them, act on them.", help_epilogue="")

Job = Annotated[str, Parameter(help="Id of the job.")]

app.command("app.cli.watch:watch", name="watch", help="Follow a job until it ends; Ctrl-C leaves it running.")
for _name, _help in (
    ("pause", "Start no further reference; nothing is lost."),
    ("resume", "Go on with a paused job."),
    ("cancel", "End a job: open references that are not stored fail."),
    ("redrive", "Set off open references again, those without data too."),
    ("retry", "Put what failed into a new job."),
):
    app.command(f"app.cli.job_changes:{_name}", name=_name, help=_help)


@app.command(name="list")
def list_jobs(
    *,
    state: Annotated[Literal["open", "completed"] | None, Parameter(help="Only jobs in this state.")] = None,
    result: Annotated[
        Literal["succeeded", "partially-succeeded", "failed"] | None, Parameter(help="Only jobs that ended so.")
    ] = None,
    message: Annotated[str | None, Parameter(help="Only jobs of this message.")] = None,
    kind: Annotated[Literal["backfill", "live"] | None, Parameter(help="Only jobs of this kind.")] = None,
    started_by: Annotated[str | None, Parameter(help="Only jobs of this person: name, ext_id or subject.")] = None,
    waiting: Annotated[
        str | None, Parameter(help="Only jobs that wait: true, false, or for what (source, objectstore, broker, …).")
    ] = None,
    limit: pages.Limit = None,
    output: Output = "table",
    service: ServiceOptions = ANY,
) -> None:
    """List jobs, newest first."""
    wanted = {
        "state": state,
        "result": result,
        "message": message,
        "kind": kind,
        "startedBy": started_by,
        "waiting": waiting,
    }
    with connect(service) as client:
        found = list(pages.items(client, "/api/jobs", wanted, output, limit))
    rows(found, job_texts.list_columns(found), output, nothing="There are no such jobs.")


@app.command
def show(job: Job, /, *, output: Output = "table", service: ServiceOptions = ANY) -> None:
    """Show a job: counts, rate, what it waits for, why references failed, who did what."""
    with connect(service) as client:
        show_job(client, client.get(path_of("api", "jobs", job)), output)


def show_job(client: Client, found: dict[str, Any], output: Format) -> None:
    """The job, for people with its failures by cause."""
    by_cause = failures_of(client, found) if output == "table" else None
    thing(found, job_texts.lines(found, by_cause), output)


def failures_of(client: Client, job: dict[str, Any]) -> Any:
    """Failures by cause; None where nothing failed, or where the service is too old to know causes."""
    if not job["counts"]["failed"]:
        return None
    try:
        return client.get(path_of("api", "jobs", str(job["jobId"]), "failures"))
    except Answered as answered:
        if answered.status == 404:
            return None
        raise


@app.command
def failures(job: Job, /, *, output: Output = "table", service: ServiceOptions = ANY) -> None:
    """Show why references failed, by cause, most first."""
    with connect(service) as client:
        found = client.get(path_of("api", "jobs", job, "failures"))
    if output in ("json", "yaml"):
        thing(found, (), output)
        return
    rows(found["causes"], job_texts.FAILURES, output, nothing="Nothing failed.")
    if output == "table" and found["causes"]:
        others = f", {found['others']:,} of causes beyond these" if found.get("others") else ""
        tell(f"{found['failed']:,} failed{others}. One cause again: pas jobs retry {job} --cause '…'")


@app.command
def references(
    job: Job,
    /,
    *,
    state: Annotated[
        Literal["open", "succeeded", "failed"] | None, Parameter(help="Only references in this state.")
    ] = None,
    cause: Annotated[
        str | None, Parameter(help="Only those that failed of this cause, as `failures` shows it.")
    ] = None,
    id: Annotated[str | None, Parameter(help="Only ids that begin so.")] = None,
    limit: pages.Limit = None,
    output: Output = "table",
    service: ServiceOptions = ANY,
) -> None:
    """Show what became of each reference, in the order of submission."""
    path = path_of("api", "jobs", job, "references")
    wanted = {"state": state, "cause": cause, "id": id}
    with connect(service) as client:
        if output in ("csv", "ndjson") and limit is None:
            pages.streamed(client, path, wanted, output)
            return
        found = pages.items(client, path, wanted, output, limit)
        rows(found, job_texts.REFERENCES, output, nothing="There are no such references.")


@app.command
def preflight(
    *,
    file: Annotated[Path, Parameter(help="YAML body of a submission.")],
    sample: Annotated[int | None, Parameter(help="References that the source is asked for, at most 50.")] = None,
    output: Output = "table",
    service: ServiceOptions = ANY,
) -> int:
    """See what would become of a job; nothing is written. Exit code 1 where something would fail."""
    body = read_bytes(file)
    params = None if sample is None else {"sample": sample}
    with connect(service) as client:
        headers = {"Content-Type": "application/yaml"}
        found = client.post_bytes("/api/preflight", body, headers, params)
    show_preflight(found, output)
    return Exit.WELL if found["ok"] else Exit.REFUSED
