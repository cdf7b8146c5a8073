"""The texts about a preflight: the outcomes of the sample, the warnings, the forecast."""

from collections.abc import Callable, Sequence
from typing import Any

from app.cli.client import mistake_lines
from app.cli.job_texts import duration, number
from app.cli.options import Format
from app.cli.show import Column, Row, column, rows, thing
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
    if lines := forecast_lines(found.get("forecast"), found["sample"]):
        say()
        for line in lines:
            say(line)
    if found.get("plan"):
        say(f"\nPlan {found['plan']}")
    say("\nIt would go well." if found["ok"] else "\nSomething would fail: see above.")


def forecast_lines(forecast: Any, sample: Sequence[Row]) -> list[str]:
    """Where archive types of the sample are locked until different days, the day of each."""
    if not isinstance(forecast, dict):
        return []
    lines = []
    if spread := forecast.get("bytes"):
        lines.append(f"Size       {_spread(spread, size)}")
    if spread := forecast.get("seconds"):
        lines.append(f"Time       {_spread(spread, _time)}")
    if until := forecast.get("lockedUntil"):
        lines.append(f"Locked     until {until}: nothing of it can be deleted before{_by_type(sample)}")
    if cost := forecast.get("cost"):
        lines.append(f"Cost       {_amount(cost.get('amount'))} {cost.get('currency') or ''}".rstrip())
    return lines


def _by_type(sample: Sequence[Row]) -> str:
    days = {f"{row.get('system')} {row.get('schema')}": row["lockedUntil"] for row in sample if row.get("lockedUntil")}
    if len(set(days.values())) < 2:
        return ""
    return f" ({', '.join(f'{name} {day}' for name, day in sorted(days.items()))})"


def _amount(amount: Any) -> str:
    value = float(amount)
    return "less than 0.01" if 0 < value < 0.01 else f"{value:,.2f}"


def _time(seconds: Any) -> str:
    return duration(float(seconds)) if float(seconds) >= 1 else "less than 1 s"


def _spread(spread: Row, text: Callable[[Any], str]) -> str:
    low, likely, high = (text(spread[each]) for each in ("low", "likely", "high"))
    return likely if low == likely == high else f"{likely} (from {low} to {high})"
