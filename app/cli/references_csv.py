"""References from a CSV file, by the rules of jeap-cli; beyond: the header `id` for data without versions."""

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from app.cli import jeap_texts
from app.cli.exits import Ended
from app.cli.files import read_bytes

_WHOLE = re.compile(r"\+?[0-9]+")

MOST = 2**31 - 1
"""The largest version."""


class FromCsv(NamedTuple):
    references: list[tuple[str, int | None]]
    lines: list[int]
    """Where each of them stands in the file, from 1."""


def read_references(path: Path, warn: Callable[[str], None]) -> FromCsv:
    """The references in their order. Of equal references the first is taken, `warn` gets the others. Raises Ended."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Ended(jeap_texts.not_parsed(path, f"it is not UTF-8 (byte {error.start})")) from error
    rows = enumerate(re.split("\r\n|\n|\r", text), 1)
    columns = [name.strip() for name in next(rows)[1].split(",")]
    if columns not in (["id", "version"], ["id"]):
        raise Ended(jeap_texts.CSV_HEADER, "Without versions the header is: id")
    found: dict[tuple[str, int | None], int] = {}
    for number, row in rows:
        if not row.strip() or row.strip().startswith("#"):
            continue
        reference = _reference(row, number, len(columns))
        if reference in found:
            id_, version = reference
            shown = f"id={id_}" if version is None else f"id={id_} version={version}"
            warn(jeap_texts.duplicate(shown, number))
        else:
            found[reference] = number
    return FromCsv(list(found), list(found.values()))


def _reference(row: str, line: int, columns: int) -> tuple[str, int | None]:
    try:
        [values] = csv.reader([row], strict=True, skipinitialspace=True)
    except (csv.Error, ValueError):
        values = []
    if len(values) != columns:
        expected = "1 column: id" if columns == 1 else "2 columns: id,version"
        raise Ended(jeap_texts.csv_row(line, expected))
    id_, *rest = (value.strip() for value in values)
    if not id_:
        raise Ended(jeap_texts.empty_id(line))
    if not rest:
        return id_, None
    if not _WHOLE.fullmatch(rest[0]) or not 0 < (version := int(rest[0][:20])) <= MOST:
        raise Ended(jeap_texts.invalid_version(rest[0], line))
    return id_, version
