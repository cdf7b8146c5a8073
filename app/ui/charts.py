"""Charts as SVG, with the numbers as a table behind them."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from fastapi import Request
from markupsafe import Markup

from app.domain.minutes import Course, SourceCourse
from app.ui import words
from app.ui.queries import Filters

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 800, 120, 60, 26, 14
"""Units of a chart, of its scale, of its times, and of the room for the uppermost number."""

FEWEST = 12
"""Parts for which a chart has room at least, so that a few columns do not become walls."""

NICE = (1, 2, 5)

SPANS = {"1": "last day", "7": "7 days", "30": "30 days"}
"""Days that charts of the whole service cover."""

COLUMN = Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>')
LINE = Markup('<path class="limit" d="{}"/>')


def days_of(request: Request) -> str:
    """The days that the address asks for, a key of SPANS. Raises ApiProblem 400."""
    return Filters(request, ("days",)).one_of("days", SPANS) or "1"


def course(found: Course) -> Markup:
    """Stacked columns: succeeded below, failed above. Said in words by the table beside it."""
    top = ceiling(max(each.succeeded + each.failed for each in found.parts))
    room, shapes = _room(len(found.parts)), []
    for at, part in enumerate(found.parts):
        below = 0
        for name, count in (("ok", part.succeeded), ("bad", part.failed)):
            if count:
                shapes.append(_column(name, at, room, below, count, top))
            below += count
    return _framed(top, [part.minute for part in found.parts], found.step, shapes)


def limits(found: SourceCourse) -> Markup:
    """Columns of requests under way, below the line of the limit. Said in words by the table beside it."""
    top = ceiling(max(max(each.limit or 0, each.in_flight) for each in found.parts))
    room = _room(len(found.parts))
    columns = [
        _column("run", at, room, 0, each.in_flight, top) for at, each in enumerate(found.parts) if each.in_flight
    ]
    steps, joined = [], False
    for at, each in enumerate(found.parts):
        if each.limit is not None:
            x, y = LEFT + room * at, _y(each.limit, top)
            steps.append(f"{'L' if joined else 'M'}{x:.1f} {y:.1f}H{x + room:.1f}")
        joined = each.limit is not None
    return _framed(top, [part.minute for part in found.parts], found.step, [*columns, LINE.format("".join(steps))])


def _room(parts: int) -> float:
    return (WIDTH - LEFT) / max(parts, FEWEST)


def _y(value: float, top: float) -> float:
    return TOP + (HEIGHT - BOTTOM - TOP) * (1 - value / top)


def _column(name: str, at: int, room: float, below: int, count: int, top: int) -> Markup:
    y = _y(below + count, top)
    return COLUMN.format(name, LEFT + room * at + 1, y, max(room - 2, 1), max(_y(below, top) - y, 1))


def _framed(top: int, minutes: Sequence[int], step: int, shapes: Iterable[Markup]) -> Markup:
    """With the scale on the left and the times below."""
    frame = []
    for share in (0, 0.5, 1):
        y = _y(share, 1)
        frame.append(Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(LEFT, WIDTH, y, y))
        label = words.number(top * share) if top * share == int(top * share) else ""
        frame.append(Markup('<text x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(LEFT - 6, y + 4, label))
    room = _room(len(minutes))
    for at in range(0, len(minutes), max(1, -(-len(minutes) // 6))):
        text = clock(minutes[at], step)
        frame.append(Markup('<text x="{:.1f}" y="{}">{}</text>').format(LEFT + room * at, HEIGHT - 4, text))
    head = Markup('<svg class="chart" viewBox="0 0 {} {}" aria-hidden="true">').format(WIDTH, HEIGHT)
    return head + Markup("").join([*frame, *shapes]) + Markup("</svg>")


def ceiling(most: int) -> int:
    """The first of 1, 2, 5, 10, 20, 50, … that is not below."""
    power = 1
    while True:
        for nice in NICE:
            if nice * power >= most:
                return nice * power
        power *= 10


def clock(minute: int, step: int) -> str:
    """The begin of a part: the time, or the day where parts are long. UTC."""
    moment = datetime.fromtimestamp(minute * 60, UTC)
    return f"{moment:%H:%M}" if step < 60 else f"{moment:%m-%d %H:%M}" if step < 1440 else f"{moment:%Y-%m-%d}"
