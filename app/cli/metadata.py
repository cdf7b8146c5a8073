"""`pas metadata`: lists metadata keys, and the runs that fill them for artifacts archived before."""

from typing import Annotated, Literal

from cyclopts import App, Parameter

from app.cli import pages
from app.cli.client import connect, path_of
from app.cli.job_texts import by, number
from app.cli.options import ANY, Format, Output, ServiceOptions
from app.cli.show import Column, Row, cell, column, moment, rows, thing
from app.cli.streams import say, tell

app = App(name="metadata", help="Look at metadata keys, and at runs that fill them.", help_epilogue="")

RUNS = "/api/metadata-backfills"

Run = Annotated[str, Parameter(help="Id of the run.")]

_COLUMNS = (
    column("MESSAGE", "messageType"),
    column("CONFIG", "configId"),
    column("KEY", "key", narrow="fold"),
    Column("ACTIVE", lambda row: "yes" if row["active"] else "no, its values stay"),
)

_RUNS = (
    column("RUN", "id"),
    column("MESSAGE", "messageType"),
    column("KEYS", "keys", narrow="cut"),
    column("MODE", "mode"),
    column("STATE", "state"),
    Column("DONE", lambda row: f"{row['processed']:,}/{row['total']:,}", right=True),
    column("FAILED", "failed", right=True),
    Column("STARTED", lambda row: moment(row.get("started"))),
)

_SAMPLE = (
    Column("ARTIFACT", lambda row: str(row["artifact"]), right=True),
    column("OLD", "old", narrow="fold"),
    Column("NEW", lambda row: cell(row.get("new")) if row.get("error") is None else f"{row['error']}"),
)


@app.command
def columns(*, output: Output = "table", service: ServiceOptions = ANY) -> None:
    """List the metadata keys of all archive types."""
    with connect(service) as client:
        found = client.get("/api/artifacts/columns")["items"]
    rows(found, _COLUMNS, output, nothing="No archive type has metadata.")


@app.command
def runs(*, limit: pages.Limit = None, output: Output = "table", service: ServiceOptions = ANY) -> None:
    """List the runs, newest first."""
    with connect(service) as client:
        rows(pages.items(client, RUNS, {}, output, limit), _RUNS, output, nothing="There are no runs.")


@app.command
def show(run: Run, /, *, output: Output = "table", service: ServiceOptions = ANY) -> None:
    """Show a run, and the first artifacts that could not be read."""
    with connect(service) as client:
        thing_of(client.get(f"{RUNS}{path_of(run)}"), output)


@app.command
def run(
    *,
    message: Annotated[str, Parameter(help="Message of the archive type.")],
    config_id: Annotated[str | None, Parameter(help="Selects among several configurations of the message.")] = None,
    key: Annotated[
        list[str] | None, Parameter(negative="", help="Only this key, may be repeated. [default: all active ones]")
    ] = None,
    mode: Annotated[
        Literal["missing", "failed", "all"],
        Parameter(help="Artifacts that lack a key; whose last reading failed; all, overwriting values that differ."),
    ] = "missing",
    dry_run: Annotated[
        bool, Parameter(negative="", show_default=False, help="Write nothing, show what would be done.")
    ] = False,
    output: Output = "table",
    service: ServiceOptions = ANY,
) -> None:
    """Fill keys of what is archived already."""
    body = {
        "messageType": message,
        "mode": mode,
        **({"configId": config_id} if config_id else {}),
        **({"keys": key} if key else {}),
        **({"dryRun": True} if dry_run else {}),
    }
    with connect(service) as client:
        found = client.post(RUNS, body)
    if output != "table":
        thing(found, (), output)
    elif dry_run:
        say(f"It would read {number(found['total'], 'artifact')}. The newest of them:\n")
        rows(found["sample"], _SAMPLE, output, nothing="nothing would be read")
    else:
        say(f"Run {found['id']} is {found['state']}: {number(found['total'], 'artifact')} to read.")
        tell(f"Look at it: pas metadata show {found['id']}")


@app.command
def pause(run: Run, /, *, output: Output = "table", service: ServiceOptions = ANY) -> None:
    """Start no further batch; nothing is lost."""
    _change("pause", run, output, service)


@app.command
def resume(run: Run, /, *, output: Output = "table", service: ServiceOptions = ANY) -> None:
    """Go on with a paused run."""
    _change("resume", run, output, service)


@app.command
def cancel(run: Run, /, *, output: Output = "table", service: ServiceOptions = ANY) -> None:
    """End a run; what it wrote stays."""
    _change("cancel", run, output, service)


def _change(what: str, run: str, output: Format, service: ServiceOptions) -> None:
    with connect(service) as client:
        found = client.post(f"{RUNS}{path_of(run, what)}")
    if output == "table":
        say(
            f"Run {found['id']} is {found['state']}: "
            f"{found['processed']:,} of {number(found['total'], 'artifact')} read."
        )
    else:
        thing(found, (), output)


def thing_of(found: Row, output: Format) -> None:
    errors = [f"artifact {each['artifact']}: {each['message']}" for each in found.get("errors") or ()]
    lines = [
        ("run", str(found["id"])),
        ("message", str(found["messageType"]) + (f" ({found['configId']})" if found["configId"] else "")),
        ("keys", ", ".join(found["keys"])),
        ("mode", str(found["mode"])),
        ("state", str(found["state"])),
        (
            "artifacts",
            f"{found['processed']:,} of {found['total']:,} read; "
            f"{found['updated']:,} updated; {found['failed']:,} failed",
        ),
        ("null values", cell(found["null"])),
        ("rate", "" if found["rate"] is None or found["completed"] else f"{float(found['rate']):,.1f} a second"),
        ("estimated end", moment(found.get("estimatedEnd"))),
        ("started", by(found.get("startedByName"), found["started"])),
        ("completed", moment(found["completed"])),
        ("errors", "\n".join(errors)),
    ]
    thing(found, lines, output)
