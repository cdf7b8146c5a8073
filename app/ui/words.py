"""Numbers, sizes and times as the page writes them."""

import json
from datetime import UTC, datetime

MINUTE, HOUR, DAY = 60, 3600, 86400


def number(value: float) -> str:
    """`1,234,567`"""
    return f"{value:,.0f}"


def size(value: int) -> str:
    """`1.6 KiB`"""
    amount, unit = float(value), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{amount:,.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:,.1f} {unit}"


def per_second(value: float) -> str:
    """`12.3` below a hundred, whole beyond."""
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"


def duration(seconds: float) -> str:
    """`45 s`, `3 min`, `2 h 5 min`, `3 d 4 h`; page.js writes them in the same way."""
    whole = max(0, round(seconds))
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min"
    big, small = (DAY, HOUR) if whole >= DAY else (HOUR, MINUTE)
    rest = whole % big // small
    names = ("d", "h") if big == DAY else ("h", "min")
    return f"{whole // big} {names[0]}" + (f" {rest} {names[1]}" if rest else "")


def relative(moment: datetime, now: datetime | None = None) -> str:
    """`3 min ago`, `in 5 s`, `now`"""
    seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"in {duration(seconds)}" if seconds > 0 else f"{duration(-seconds)} ago"


def exact(moment: datetime) -> str:
    """`2026-05-08 07:26:37 UTC`"""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def day(moment: datetime) -> str:
    """`2026-05-08`"""
    return f"{moment.astimezone(UTC):%Y-%m-%d}"


def value(text: str) -> str:
    """A metadata value, which is JSON: texts without their quotes, all else as it is, digit by digit."""
    return str(json.loads(text)) if text.startswith('"') else text


def plain(value: object) -> str:
    """A value of a JSON document, as people write it: `failed 2, total 5`, `a, b`."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {plain(each)}" for name, each in value.items())
    return ", ".join(map(plain, value)) if isinstance(value, list) else str(value)


def machine(moment: datetime) -> str:
    """As the attribute of a `time` element."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def share(part: float, whole: float) -> str:
    """`37 %`; 100 and 0 only where it is all and nothing."""
    if not whole:
        return "0 %"
    percent = 100 * part / whole
    if 0 < percent < 1:
        return "under 1 %"
    return f"{min(99, int(percent)) if part < whole else 100} %"
