"""`pas reconcile`: compares a list of references with the archive, and makes a submission of what is missing."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from cyclopts import Parameter

from app.cli.answers import read_answer
from app.cli.client import Client, connect
from app.cli.exact import json_text
from app.cli.exchange import reached
from app.cli.exits import Ended, Exit, wrong_usage
from app.cli.files import written
from app.cli.jeap_texts import not_found
from app.cli.options import ANY, Output, ServiceOptions
from app.cli.show import Column, cell, column, rows, thing
from app.cli.streams import put_json, tell
from app.cli.submission_file import quoted
from app.domain.reconciled import WHOLE
from app.domain.spreadsheets import guarded

NDJSON: Final = "application/x-ndjson"

KINDS: Final = {
    ".csv": "text/csv",
    ".ndjson": NDJSON,
    ".jsonl": NDJSON,
    ".yml": "application/yaml",
    ".yaml": "application/yaml",
}

COLUMNS: Final = ("id", "version", "verdict", "artifactId", "jobId")

PIECE = 256 * 1024

Gap = tuple[str, int | None]


def reconcile(
    *,
    message: Annotated[str, Parameter(help="Message type that the references are of.")],
    expected: Annotated[
        Path, Parameter(help="The list: .csv with the header id,version or id, .ndjson, or the .yml of a submission.")
    ],
    gaps: Annotated[
        Path | None, Parameter(help="File for a submission of what is neither archived nor open, ready to send.")
    ] = None,
    config_id: Annotated[str | None, Parameter(help="Its configuration, where the message has several.")] = None,
    verify: Annotated[
        bool, Parameter(negative="", help="Read each archived object and compare it. Takes as long as reading takes.")
    ] = False,
    output: Output = "table",
    service: ServiceOptions = ANY,
) -> int:
    """Compare a list of references with the archive. Exit code 3 where there are gaps."""
    kind = KINDS.get(expected.suffix.lower())
    if kind is None:
        wrong_usage(f"What is {expected}? Its name must end with {', '.join(KINDS)}.")
    found: dict[Gap, None] = {}
    with connect(service) as client:
        topic = _topic(client, message, config_id) if gaps is not None else ""
        lines = _answers(client, expected, kind, _query(message, config_id, verify=verify))
        counts = _shown(lines, output, found) if output in ("csv", "ndjson") else _counted(lines, found)
    if output in ("json", "yaml"):
        thing(counts, (), output)
    elif output == "table":
        columns = (column("VERDICT", "verdict"), Column("REFERENCES", lambda row: cell(row["count"]), right=True))
        rows([{"verdict": name, "count": count} for name, count in counts.items()], columns, output)
    if gaps is not None:
        _write(gaps, _submission(message, topic, config_id, found), len(found))
    return Exit.FAILED_REFERENCES if found else Exit.WELL


def _query(message: str, config_id: str | None, *, verify: bool) -> dict[str, str]:
    more = {"configId": config_id} if config_id is not None else {}
    return {"message": message, **more, **({"verify": "true"} if verify else {})}


def _topic(client: Client, message: str, config_id: str | None) -> str:
    """The topic of the submission of gaps, before anything is sent."""
    known = [each for each in client.get("/api/archive-types")["items"] if each["messageType"] == message]
    for each in known:
        if config_id in (None, each["configId"]) and each["remote"]:
            return str(each["topic"])
    raise Ended(f"{message} cannot be submitted as it is configured now, so there is no submission of its gaps.")


def _answers(client: Client, expected: Path, kind: str, query: dict[str, str]) -> Iterator[dict[str, Any]]:
    try:
        file = expected.open("rb")
    except FileNotFoundError:
        raise Ended(not_found(expected)) from None
    except OSError as error:
        raise Ended(f"{expected} cannot be read: {error.strerror}") from error

    def pieces() -> Iterator[bytes]:
        file.seek(0)  # the request may be sent again, with another token
        while piece := file.read(PIECE):
            yield piece

    headers, body = {"Content-Type": kind, "Accept": NDJSON}, _Again(pieces)
    with (
        file,
        client.opened("POST", "/api/reconcile", headers=headers, kind=NDJSON, params=query, content=body) as response,
    ):
        last: dict[str, Any] = {}
        with reached(client.url):
            for line in response.iter_lines():
                last = read_answer(line)
                if "error" in last:
                    raise Ended(f"Error: {last['error']}")
                yield last
        if "counts" not in last:
            raise Ended("The answer ended too early: the list was not compared to its end.", "Try again.")


class _Again:
    """A body that can be sent again from its beginning."""

    def __init__(self, pieces: Any) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces())


def _counted(lines: Iterator[dict[str, Any]], gaps: dict[Gap, None]) -> dict[str, Any]:
    for line in lines:
        if "counts" in line:
            return dict(line["counts"])
        _note(line, gaps)
    return {}


def _shown(lines: Iterator[dict[str, Any]], output: Literal["csv", "ndjson"], gaps: dict[Gap, None]) -> dict[str, Any]:
    """Prints each verdict as it comes; at the end the counts go to standard error."""
    import csv

    counts: dict[str, Any] = {}
    table = csv.writer(sys.stdout, lineterminator="\r\n")
    if output == "csv":
        table.writerow(COLUMNS)
    for line in lines:
        if "counts" in line:
            counts = dict(line["counts"])
            break
        _note(line, gaps)
        if output == "csv":
            table.writerow([guarded(line[name]) if isinstance(line[name], str) else line[name] for name in COLUMNS])
        else:
            put_json(json_text(line))
    tell(", ".join(f"{cell(count)} {name}" for name, count in counts.items()))
    return counts


def _note(line: dict[str, Any], gaps: dict[Gap, None]) -> None:
    if line["verdict"] not in WHOLE:
        version = line["version"]
        gaps[line["id"], None if version is None else int(version)] = None


def _submission(message: str, topic: str, config_id: str | None, gaps: dict[Gap, None]) -> Iterator[str]:
    yield f"message: {quoted(message)}\ntopic: {quoted(topic)}\n"
    if config_id is not None:
        yield f"config-id: {quoted(config_id)}\n"
    yield "archiveDataReferences:\n"
    for id_, version in gaps:
        yield f"- id: {quoted(id_)}\n" + ("" if version is None else f"  version: {version}\n")


def _write(path: Path, texts: Iterator[str], count: int) -> None:
    if not count:
        if path.is_file():
            path.unlink()  # the gaps of another day
        tell(f"There are no gaps: {path} was not written.")
        return
    with written(path) as file:
        for text in texts:
            file.write(text.encode())
    tell(f"{path} written: {cell(count)} references. Send it with: pas backfill send --file {path}")
