"""References from CSV by the rules of jeap-cli, with its texts; beyond: the header `id` for data without versions."""

import csv
import re
from collections.abc import Callable
from typing import NamedTuple

_WHOLE = re.compile(r"\+?[0-9]+")

MOST = 2**31 - 1
"""The largest version."""

HEADER = "Error: CSV file must start with header line: id,version"


class CsvMistake(Exception):
    """The text is not such a file; `lines` say why."""

    def __init__(self, *lines: str) -> None:
        super().__init__(" ".join(lines))
        self.lines = lines


class FromCsv(NamedTuple):
    references: list[tuple[str, int | None]]
    lines: list[int]
    """Where each of them stands in the file, from 1."""


def references_of(text: str, warn: Callable[[str], None]) -> FromCsv:
    """The references in their order. Of equal references the first is taken, `warn` gets the others. Raises
    CsvMistake."""
    rows = enumerate(re.split("\r\n|\n|\r", text), 1)
    columns = [name.strip() for name in next(rows)[1].split(",")]
    if columns not in (["id", "version"], ["id"]):
        raise CsvMistake(HEADER, "Without versions the header is: id")
    found: dict[tuple[str, int | None], int] = {}
    for number, row in rows:
        if not row.strip() or row.strip().startswith("#"):
            continue
        reference = _reference(row, number, len(columns))
        if reference in found:
            id_, version = reference
            shown = f"id={id_}" if version is None else f"id={id_} version={version}"
            warn(f"Warning: Duplicate reference {shown} on line {number}. Will be sent once.")
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
        raise CsvMistake(f"Error: Invalid CSV row on line {line}. Expected {expected}.")
    id_, *rest = (value.strip() for value in values)
    if not id_:
        raise CsvMistake(f"Error: Empty id on line {line}.")
    if not rest:
        return id_, None
    if not _WHOLE.fullmatch(rest[0]) or not 0 < (version := int(rest[0][:20])) <= MOST:
        raise CsvMistake(f"Error: Invalid version '{rest[0]}' on line {line}. Must be a positive integer.")
    return id_, version
