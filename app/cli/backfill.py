"""`pas backfill send` and `report`: what `jeap-cli pas-backfill` does, with its options, checks and texts."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import uuid4

from cyclopts import App, Parameter

from app.cli import jeap_texts
from app.cli.client import Client, connect, mistake_lines, path_of
from app.cli.exchange import reached
from app.cli.exits import Answered, Ended, Exit, NoAnswer, perhaps
from app.cli.files import written
from app.cli.options import ANY, ServiceOptions
from app.cli.references_csv import FromCsv, read_references
from app.cli.streams import say, tell
from app.cli.submission_file import read_submission, with_references

if TYPE_CHECKING:
    from httpx import Response

YAML: Final = "application/yaml"

app = App(name="backfill", help="Submit backfill jobs and read their reports, as jeap-cli does.", help_epilogue="")


@app.command
def send(
    *,
    file: Annotated[Path, Parameter(help="YAML file with message, topic, and references where no CSV has them.")],
    references_csv: Annotated[
        Path | None, Parameter(help="CSV file of the references: header id,version, or id where data has no versions.")
    ] = None,
    job_id: Annotated[str | None, Parameter(help="Id of the job. [default: a random UUID]")] = None,
    wait: Annotated[
        bool,
        Parameter(
            negative="", show_default=False, help="Follow the job to its end; exit code 3 where references failed."
        ),
    ] = False,
    service: ServiceOptions = ANY,
) -> int:
    """Submit a backfill job. The same file under the same id again is the same job."""
    from_csv = None if references_csv is None else read_references(references_csv, tell)
    submission = read_submission(file)
    if from_csv is not None and submission.references is not None:
        raise Ended(jeap_texts.BOTH_SOURCES)
    number = len(from_csv.references) if from_csv is not None else submission.references or 0
    if not number:
        raise Ended(jeap_texts.NO_REFERENCES)
    body = submission.body if from_csv is None else with_references(submission, from_csv)
    job = job_id or str(uuid4())
    with connect(service) as client:
        try:
            answer = client.request("PUT", path_of("api", "jobs", job), content=body, headers={"Content-Type": YAML})
        except Answered as answered:
            raise _refused(answered, job, from_csv, references_csv) from answered
        except NoAnswer as unreached:
            raise perhaps(unreached, f"--job-id {job}") from unreached
        if not _is_accepted(answer, job):
            raise client.no_service(answer)
        say(jeap_texts.created(job, number))
        return _waited(client, job, service) if wait else Exit.WELL


def _is_accepted(answer: "Response", job: str) -> bool:
    """The service names the report of this very job, ids in lower case; the one in Java answers 200 or 201 with
    nothing. A proxy with its login page does neither."""
    location = answer.headers.get("location")
    if location is None:
        return answer.status_code in (200, 201) and not answer.content
    return str(location).endswith(path_of("api", "jobs", job.lower(), "report"))


def _waited(client: Client, job: str, service: ServiceOptions) -> int:
    from app.cli.watch import watch_job

    return watch_job(client, job, "table", service)


def _refused(answered: Answered, job: str, from_csv: FromCsv | None, csv_path: Path | None) -> Ended:
    if answered.status == 409:
        return Ended(jeap_texts.exists(job), answered.detail)
    mistakes = answered.mistakes
    if from_csv is not None:
        mistakes = tuple(_of_csv(mistake, from_csv) for mistake in mistakes)
        if mistakes:
            return Ended(answered.lines[0], *mistake_lines(mistakes), f"Lines of references are those of {csv_path}.")
    if answered.status in (400, 401, 403, 503):
        return perhaps(answered, f"--job-id {job}") if answered.status == 503 else answered
    return Ended(jeap_texts.failed(answered.status), *answered.lines)


def _of_csv(mistake: dict[str, Any], from_csv: FromCsv) -> dict[str, Any]:
    """The mistake with the line of the CSV file instead of the line of the body, which is in no file."""
    found = re.match(r"archiveDataReferences\[(\d+)\]", str(mistake.get("path") or ""))
    place = int(found[1]) if found else -1
    return {**mistake, "line": from_csv.lines[place] if 0 <= place < len(from_csv.lines) else None}


@app.command
def report(
    *,
    job_id: Annotated[str, Parameter(help="Id of the job.")],
    output: Annotated[Path | None, Parameter(help="File to write. [default: standard output]")] = None,
    merged: Annotated[
        bool,
        Parameter(
            negative="", show_default=False, help="Over the job and its retries: each reference as it stands now."
        ),
    ] = False,
    service: ServiceOptions = ANY,
) -> None:
    """Read the report of a job: YAML, what became of each reference."""
    params = {"merged": "true"} if merged else None
    with connect(service) as client:
        try:
            with (
                client.opened("GET", path_of("api", "jobs", job_id, "report"), params=params, kind=YAML) as response,
                written(output) as file,
                reached(client.url),
            ):
                for piece in response.iter_bytes():
                    file.write(piece)
        except Answered as answered:
            if answered.status == 404:
                raise Ended(jeap_texts.no_job(job_id), *answered.lines[1:]) from answered
            if answered.status not in (400, 401, 403, 503):
                raise Ended(jeap_texts.failed(answered.status), *answered.lines) from answered
            raise
    if output is not None:
        say(jeap_texts.report_written(output))
