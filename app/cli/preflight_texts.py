"""A preflight in words: what would become of the sample, what is probably not meant, what it will take."""

from typing import Any

from app.cli.client import mistake_lines
from app.cli.job_texts import duration, number
from app.cli.options import Format
from app.cli.show import Column, Row, cell, column, rows, thing
from app.cli.streams import say


def size(number: Any) -> str:
    """Bytes with the unit that keeps it short."""
    value = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:,.0f} {unit}" if unit == "B" else f"{value:,.1f} {unit}"
        value /= 1024
    return f"{value:,.1f} TiB"


SAMPLE = (
    column("ID", "referenceId", narrow="fold"),
    Column("VERSION", lambda row: "–" if row.get("version") is None else str(row["version"]), right=True),
    column("VERDICT", "verdict"),
    Column("SIZE", lambda row: "–" if row.get("size") is None else size(row["size"]), right=True),
    Column("WHAT", lambda row: row.get("message") or _where(row), narrow="fold"),
)


def _where(row: Row) -> str:
    what = f"{row.get('system')} {row.get('schema')} version {row.get('schemaVersion')}"
    locked = f", locked for {row['retentionDays']} days" if row.get("retentionDays") else ""
    there = ", lies there already" if row.get("present") else ""
    return f"{what}{locked}{there}" if row.get("schema") else "–"


def show_preflight(found: Row, output: Format) -> None:
    if output == "csv":
        rows(found["sample"], SAMPLE, output)
        return
    if output != "table":
        thing(found, (), output)
        return
    say(f"{number(found['references'], 'reference')} of {found['message']}; asked for {len(found['sample'])} of them:")
    say()
    rows(found["sample"], SAMPLE, output, nothing="no reference was asked for")
    for bucket in found["buckets"]:
        if bucket["problem"]:
            say(f"\nBucket {bucket['bucket']}: {bucket['problem']}")
    if found.get("warnings"):
        say("\nProbably not meant:")
        for line in mistake_lines(tuple(found["warnings"])):
            say(line)
    if lines := forecast_lines(found.get("forecast")):
        say()
        for line in lines:
            say(line)
    if found.get("plan"):
        say(f"\nPlan {found['plan']}")
    say("\nIt would go well." if found["ok"] else "\nSomething would fail: see above.")


def forecast_lines(forecast: Any) -> list[str]:
    if not isinstance(forecast, dict):
        return []
    lines = []
    if spread := forecast.get("bytes"):
        lines.append(f"Size       {_spread(spread, size)}")
    if spread := forecast.get("seconds"):
        lines.append(f"Time       {_spread(spread, lambda value: duration(float(value)))}")
    if until := forecast.get("lockedUntil"):
        lines.append(f"Locked     until {until}: nothing of it can be deleted before")
    if cost := forecast.get("cost"):
        lines.append(f"Cost       {cell(cost.get('amount'))} {cost.get('currency') or ''}".rstrip())
    return lines


def _spread(spread: Row, text: Any) -> str:
    return f"{text(spread['likely'])} (from {text(spread['low'])} to {text(spread['high'])})"
