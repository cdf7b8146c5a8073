"""`pas audit`: the log of all acts; `verify` is a command beside the service (`app.service_commands`)."""

from typing import Annotated

from cyclopts import App, Parameter

from app.cli import pages
from app.cli.client import connect
from app.cli.options import ANY, Output, ServiceOptions
from app.cli.show import Column, Row, cell, column, moment, rows

app = App(name="audit", help="Look at the audit log, and compare it with what was signed.", help_epilogue="")

COLUMNS = (
    Column("SEQ", lambda row: str(row["seq"]), right=True),
    Column("AT", lambda row: moment(row.get("at"))),
    Column("WHO", lambda row: _who(row), narrow="cut"),
    column("WHAT", "what"),
    column("SUBJECT", "subject", narrow="fold"),
    Column("DETAILS", lambda row: cell(row.get("details")), narrow="cut"),
)


def _who(row: Row) -> str:
    who = row.get("who") or {}
    return who.get("name") or who.get("extId") or who.get("subject") or who.get("client") or "the service"


@app.command(name="list")
def list_(
    *,
    subject: Annotated[str | None, Parameter(help="Only of this: job/<id>, artifact/<id>, run/<id>.")] = None,
    who: Annotated[str | None, Parameter(help="Only by this subject, name, ext_id or client.")] = None,
    what: Annotated[str | None, Parameter(help="Only these acts, for example job.cancelled.")] = None,
    since: Annotated[str | None, Parameter(help="Only since this time, 2026-05-08T07:26:37Z.")] = None,
    limit: pages.Limit = None,
    output: Output = "table",
    service: ServiceOptions = ANY,
) -> None:
    """List the audit log, newest first. Needs the role audit:read."""
    given = (("subject", subject), ("who", who), ("what", what), ("since", since))
    wanted = [(name, text) for name, text in given if text is not None]
    with connect(service) as client:
        if output in ("csv", "ndjson") and limit is None:
            pages.streamed(client, "/api/audit", wanted, output)
            return
        found = pages.items(client, "/api/audit", wanted, output, limit)
        rows(found, COLUMNS, output, nothing="There are no such entries.")


@app.command
def verify() -> None:
    """Compare the audit log in the database with the newest checkpoint in the bucket: --config FILE, or --embedded.

    What was cut, changed, removed or inserted is named. --key K: a verifier key, or a file of it, instead of those of
    the settings. Exit code 1 on any difference.
    """
    raise AssertionError("app.__main__ runs it")
