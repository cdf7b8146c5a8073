"""Reads lists of the service: page after page, or as one stream."""

import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from cyclopts import Parameter, validators

from app.cli.answers import Unlike
from app.cli.client import Client, Params
from app.cli.exchange import reached
from app.cli.options import Format
from app.cli.streams import tell

FIRST = 50
"""Items of a table without `--limit`: as many as a person reads."""

PAGE = 200
"""Items of one request."""

Limit = Annotated[
    int | None,
    Parameter(
        help=f"At most so many. [default: {FIRST} in a table, all in the other formats]",
        validator=validators.Number(gte=1),
    ),
]

_MEDIA_TYPES = {"csv": "text/csv", "ndjson": "application/x-ndjson"}


def items(client: Client, path: str, params: Params, form: Format, limit: int | None) -> Iterator[dict[str, Any]]:
    """The items, newest or first ones first; a table that leaves some out says so."""
    most = limit if limit is not None else FIRST if form == "table" else None
    cursor, given = None, 0
    while most is None or given < most:
        size = PAGE if most is None else min(PAGE, most - given)
        asked = [*_given(params), ("limit", str(size)), *([("cursor", cursor)] if cursor else [])]
        page = client.get(path, asked)
        yield from page["items"]
        given += len(page["items"])
        following = page["next"]
        if following is None:
            return
        if following == cursor:
            raise Unlike("its pages never end")
        cursor = following
    if form == "table":
        tell(f"There are more than these {given}: --limit N, or --output csv for all.")


def streamed(client: Client, path: str, params: Params, form: str) -> None:
    """CSV or NDJSON as the service makes it, to standard output."""
    kind = _MEDIA_TYPES[form]
    with (
        client.opened("GET", path, params=_given(params), headers={"Accept": kind}, kind=kind) as response,
        reached(client.url),
    ):
        sys.stdout.flush()
        for piece in response.iter_bytes():
            sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def _given(params: Params) -> list[tuple[str, str]]:
    pairs = params.items() if isinstance(params, Mapping) else params
    return [(name, str(value)) for name, value in pairs if value is not None]
