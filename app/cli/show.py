"""The output of commands: tables for people; JSON, YAML, CSV and NDJSON for programs."""

import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.cli.exact import Exact, json_text, yaml_text
from app.cli.options import Format
from app.cli.streams import put_json
from app.cli.tables import Narrow, drawn
from app.domain.spreadsheets import guarded
from app.domain.visible import visible

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    title: str
    text: Callable[[Row], str]
    right: bool = False
    """Numbers stand at the right."""
    narrow: Narrow = "never"
    """What happens on a terminal that is too narrow."""


def column(title: str, name: str, *, right: bool = False, narrow: Narrow = "never") -> Column:
    """A member of the row; `counts.open` is a member of a member."""
    return Column(title, lambda row: cell(member(row, name)), right, narrow)


def member(row: Any, name: str) -> Any:
    for part in name.split("."):
        row = row.get(part) if isinstance(row, dict) else None
    return row


def cell(value: Any) -> str:
    """A value as one cell of a table."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list) and not any(isinstance(each, dict | list) for each in value):
        return ", ".join(map(str, value)) or "–"
    if isinstance(value, dict | list):
        return json_text(value)
    return str(value)


def moment(text: Any) -> str:
    """A time of the service in the time zone of the person, to the second; `–` for none."""
    if not isinstance(text, str):
        return "–"
    try:
        return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return text


def rows(items: Iterable[Row], columns: Sequence[Column], form: Format, *, nothing: str = "nothing") -> None:
    """Prints a list. `nothing` is the text for people when the list is empty."""
    if form == "table":
        table([[each.text(item) for each in columns] for item in items], columns, nothing)
    elif form == "json":
        put_json(json_text(list(items), 2))
    elif form == "yaml":
        sys.stdout.write(yaml_text(list(items)))
    elif form == "ndjson":
        for item in items:
            put_json(json_text(item))
    else:
        csv_rows(items)


def thing(item: Row, lines: Iterable[tuple[str, str]], form: Format) -> None:
    """Prints one object: for people as `lines` of name and text; lines with an empty text are left out."""
    if form != "table":
        sys.stdout.write(yaml_text(item)) if form == "yaml" else rows_of_one(item, form)
        return
    shown = [(name, text) for name, text in lines if text not in ("", "–")]
    width = max((len(name) for name, _ in shown), default=0)
    for name, text in shown:
        first, *others = visible(text, breaks=True).split("\n")
        sys.stdout.write(f"{name:<{width}}  {first}".rstrip() + "\n")
        sys.stdout.writelines(f"{'':<{width}}  {other}\n" for other in others)


def rows_of_one(item: Row, form: Format) -> None:
    if form == "json":
        put_json(json_text(item, 2))
    else:
        rows([item], (), form)


def table(cells: Sequence[Sequence[str]], columns: Sequence[Column], nothing: str) -> None:
    """On a terminal with colours and no wider than it; piped plain, each row whole on one line."""
    if not cells:
        sys.stderr.write(nothing + "\n")
        return
    cells = [[visible(text) for text in row] for row in cells]
    terminal = shutil.get_terminal_size() if sys.stdout.isatty() else None
    lines = drawn(
        [each.title for each in columns],
        cells,
        [each.right for each in columns],
        [each.narrow for each in columns],
        None if terminal is None else terminal.columns,
    )
    sys.stdout.write(lines)


def csv_rows(items: Iterable[Row]) -> None:
    """Members of members get joined names (`countsOpen`); every item has all columns that one of them needs."""
    import csv

    flat = [dict(_flat(item)) for item in items]
    names: list[str] = []
    for row in flat:
        _merge(row, names)
    # A member that is null in this item and an object in another is shown by the columns of that object.
    empty = {name for name in names if all(row.get(name) is None for row in flat)}
    names = [name for name in names if name not in empty or not _told_by(name, names)]
    writer = csv.writer(sys.stdout, lineterminator="\r\n")
    if flat:
        writer.writerow(map(_guarded, names))
    writer.writerows([_guarded(row.get(name)) for name in names] for row in flat)


def _merge(row: Row, names: list[str]) -> None:
    """Adds names that are new, each behind the one that it follows."""
    place = 0
    for name in row:
        if name in names:
            place = names.index(name) + 1
        else:
            names.insert(place, name)
            place += 1


def _told_by(name: str, names: Sequence[str]) -> bool:
    return any(other.startswith(name) and other[len(name) :][:1].isupper() for other in names)


def _flat(item: Row, before: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in item.items():
        joined = before + name[:1].upper() + name[1:] if before else name
        if isinstance(value, dict) and value:
            yield from _flat(value, joined)
        else:
            yield joined, value


def _guarded(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str) and not isinstance(value, Exact):
        return guarded(value)
    return json_text(value)
