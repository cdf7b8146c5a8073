"""Entries of the audit log as JSON, NDJSON and CSV."""

from collections.abc import Iterable
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from app.api.shapes.csv_rows import csv_row
from app.api.shapes.moments import Moment
from app.domain.audit import LoggedEntry, shown
from app.domain.json_lines import on_one_line

_CAMEL = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class WhoView(BaseModel):
    """The claims of the token; null where it has no such claim."""

    model_config = _CAMEL

    subject: str | None
    name: str | None
    ext_id: str | None
    client: Annotated[str | None, Field(description="`azp`, else `client_id`")]


class EntryView(BaseModel):
    """An act. `who` is null where the service itself acted."""

    seq: Annotated[int, Field(description="from 0, without gaps")]
    at: Moment
    who: WhoView | None
    what: str
    subject: Annotated[
        str, Field(description="`job/<id>`, `artifact/<id>`, `run/<id>`, `archive-type/<name>`, `service`")
    ]
    details: dict[str, Any] | None
    hash: Annotated[str, Field(description="RFC 9162 leaf hash of its canonical JSON without `hash` and nulls, base64")]


class EntryPage(BaseModel):
    items: list[EntryView]
    next: Annotated[str | None, Field(description="`cursor` of the next page")]


class EntryProofView(BaseModel):
    """The proof that an entry is a leaf of the tree over the log."""

    index: Annotated[int, Field(description="the number of the entry")]
    leaf: Annotated[str, Field(description="canonical JSON; its hash is SHA-256 over a byte 0 and this text")]
    hashes: Annotated[list[str], Field(description="inclusion proof of RFC 9162, base64")]
    checkpoint: Annotated[str, Field(description="signed note of the log as it is now")]


HEAD = (
    *("seq", "at", "whoSubject", "whoName", "whoExtId", "whoClient", "what", "subject", "details", "hash"),
)  # fmt: skip
"""Columns of CSV; details are JSON."""


def json_page(entries: Iterable[LoggedEntry], cursor: str | None) -> bytes:
    return orjson.dumps({"items": [shown(each) for each in entries], "next": cursor})


def ndjson_rows(entries: Iterable[LoggedEntry]) -> bytes:
    return b"".join(on_one_line(orjson.dumps(shown(each))) + b"\n" for each in entries)


def csv_header() -> bytes:
    return csv_row(HEAD)


def csv_rows(entries: Iterable[LoggedEntry]) -> bytes:
    return b"".join(_csv_row(shown(each)) for each in entries)


def _csv_row(values: dict[str, Any]) -> bytes:
    who = values["who"] or dict.fromkeys(("subject", "name", "extId", "client"))
    details = None if values["details"] is None else orjson.dumps(values["details"]).decode()
    return csv_row(
        [values["seq"], values["at"], *who.values(), values["what"], values["subject"], details, values["hash"]]
    )
