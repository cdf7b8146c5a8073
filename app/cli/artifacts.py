"""`pas artifacts`: search what is archived, look at one artifact, get its content."""

import re
import sys
from base64 import b64decode
from binascii import Error as NoBase64
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final

import httpx
from cyclopts import App, Parameter

from app.cli import pages
from app.cli.client import connect, path_of
from app.cli.exchange import reached
from app.cli.exits import Ended, wrong_usage
from app.cli.files import written
from app.cli.options import ANY, Output, ServiceOptions
from app.cli.preflight_texts import size
from app.cli.show import Column, Row, cell, column, moment, rows, thing
from app.cli.streams import tell

app = App(name="artifacts", help="Search what is archived, look at it, get it.", help_epilogue="")

Artifact = Annotated[str, Parameter(help="Id of the artifact.")]

OPERATORS: Final = {"!=": "ne", ">=": "gte", "<=": "lte", "=": "eq", ">": "gt", "<": "lt", "~": "contains"}

_CONDITION = re.compile(r"(.+?)(!=|>=|<=|=|>|<|~)(.*)", re.DOTALL)

COLUMNS = (
    Column("ARTIFACT", lambda row: str(row["id"]), right=True),
    column("MESSAGE", "messageType", narrow="cut"),
    column("REFERENCE", "referenceId", narrow="fold"),
    Column("VERSION", lambda row: cell(row.get("version")), right=True),
    Column("SIZE", lambda row: size(row["size"]), right=True),
    Column("ARCHIVED", lambda row: moment(row.get("archivedAt"))),
    Column("METADATA", lambda row: _metadata(row), narrow="cut"),
)


def _metadata(row: Row) -> str:
    return ", ".join(f"{key}={cell(value)}" for key, value in (row.get("metadata") or {}).items()) or "–"


@app.command
def search(
    *,
    message: Annotated[str | None, Parameter(help="Only artifacts of this message.")] = None,
    where: Annotated[
        list[str] | None,
        Parameter(
            negative="",
            help='Condition on metadata, may be repeated: "customer_id=4711"; knows =, !=, >, >=, <, <=, ~ (contains).',
        ),
    ] = None,
    id: Annotated[str | None, Parameter(help="Only this reference.")] = None,
    job: Annotated[str | None, Parameter(help="Only what this job archived.")] = None,
    limit: pages.Limit = None,
    output: Output = "table",
    service: ServiceOptions = ANY,
) -> None:
    """Search artifacts, newest first; of each reference and version the newest object."""
    wanted = [(name, text) for name, text in (("messageType", message), ("referenceId", id), ("jobId", job)) if text]
    wanted += [condition(text) for text in where or ()]
    with connect(service) as client:
        if output in ("csv", "ndjson") and limit is None:
            pages.streamed(client, "/api/artifacts", wanted, output)
            return
        found = pages.items(client, "/api/artifacts", wanted, output, limit)
        rows(found, COLUMNS, output, nothing="There are no such artifacts.")


def condition(text: str) -> tuple[str, str]:
    """`amount>=100` → `metadata.amount[gte]`, `100`. Raises Ended for wrong usage."""
    found = _CONDITION.fullmatch(text)
    if found is None:
        wrong_usage(f'--where {text!r} is no condition; write "customer_id=4711".', f"It knows {', '.join(OPERATORS)}.")
    return f"metadata.{found[1].strip()}[{OPERATORS[found[2]]}]", found[3].strip()


@app.command
def show(artifact: Artifact, /, *, output: Output = "table", service: ServiceOptions = ANY) -> None:
    """Show an artifact: where it lies, until when, its metadata."""
    with connect(service) as client:
        found = client.get(path_of("api", "artifacts", artifact))
    version = "" if found["version"] is None else f" version {found['version']}"
    config = f" ({found['configId']})" if found["configId"] else ""
    lines = [
        ("artifact", str(found["id"])),
        ("reference", f"{found['referenceId']}{version}"),
        ("message", f"{found['messageType']}{config}"),
        ("schema", f"{found['system']} {found['schema']} version {found['schemaVersion']}"),
        ("content", f"{found['contentType']}, {size(found['size'])}"),
        ("sha-256", found["hash"]),
        ("object", f"{found['bucket']}/{found['key']}\nversion {found['versionId']}"),
        ("archived", f"{moment(found['archivedAt'])} by job {found['jobId']}"),
        ("locked until", moment(found["retainUntil"])),
        ("metadata", "\n".join(f"{key} = {cell(value)}" for key, value in found["metadata"].items())),
    ]
    thing(found, lines, output)


@app.command
def get(
    artifact: Artifact,
    /,
    *,
    output: Annotated[Path | None, Parameter(help="File to write. [default: standard output]")] = None,
    service: ServiceOptions = ANY,
) -> None:
    """Get the content of an artifact; its hash is checked, and a file is only there when that is right."""
    path = path_of("api", "artifacts", artifact, "content")
    # identity: the hash is that of the stored bytes, not of what a proxy makes of them
    headers = {"Accept-Encoding": "identity"}
    with connect(service) as client, client.opened("GET", path, headers=headers) as response:
        expected = _digest(response)
        _refuse_binary(response, output)
        actual = sha256()
        with written(output) as file:
            with reached(client.url):
                for piece in response.iter_bytes():
                    actual.update(piece)
                    file.write(piece)
            if actual.digest() != expected:
                kept = "What was printed is not it." if output is None else f"{output} was not written."
                raise Ended(f"The content of artifact {artifact} does not have the hash that was announced.", kept)
    if output is not None:
        tell(f"{output} written, SHA-256 {actual.hexdigest()} is right")


def _digest(response: httpx.Response) -> bytes:
    found = re.search(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]+):", response.headers.get("repr-digest", ""))
    try:
        if found is None:
            raise ValueError
        return b64decode(found[1], validate=True)
    except (ValueError, NoBase64):
        raise Ended("The service names no hash of the content (Repr-Digest), so it cannot be checked.") from None


def _refuse_binary(response: httpx.Response, output: Path | None) -> None:
    kind = response.headers.get("content-type", "").partition(";")[0].strip()
    if output is None and sys.stdout.isatty() and not kind.endswith("json") and not kind.startswith("text/"):
        raise Ended(
            f"The content is {kind or 'of no type'}: nothing for a terminal.", "Write it to a file: --output FILE"
        )
