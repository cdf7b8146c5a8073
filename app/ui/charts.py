"""Charts as SVG, with the numbers as a table behind them."""

from datetime import UTC, datetime

from markupsafe import Markup

from app.domain.minutes import Course
from app.ui import words

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 800, 120, 60, 26, 14
"""Units of a chart, of its scale, of its times, and of the room for the uppermost number."""

NICE = (1, 2, 5)

COLUMN = Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>')


def course(found: Course) -> Markup:
    """Stacked columns: succeeded below, failed above. Said in words by the table beside it."""
    top = ceiling(max(each.succeeded + each.failed for each in found.parts))
    room = (WIDTH - LEFT) / max(len(found.parts), 12)
    height = HEIGHT - BOTTOM - TOP
    shapes = []
    for share in (0, 0.5, 1):
        y = TOP + height * (1 - share)
        shapes.append(Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(LEFT, WIDTH, y, y))
        label = words.number(top * share) if top * share == int(top * share) else ""
        shapes.append(Markup('<text x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(LEFT - 6, y + 4, label))
    for at, part in enumerate(found.parts):
        x, y = LEFT + room * at, float(TOP + height)
        for name, count in (("ok", part.succeeded), ("bad", part.failed)):
            tall = height * count / top
            y -= tall
            if count:
                shapes.append(COLUMN.format(name, x + 1, y, max(room - 2, 1), max(tall, 1)))
    every = max(1, -(-len(found.parts) // 6))
    for at in range(0, len(found.parts), every):
        text = clock(found.parts[at].minute, found.step)
        shapes.append(Markup('<text x="{:.1f}" y="{}">{}</text>').format(LEFT + room * at, HEIGHT - 4, text))
    head = Markup('<svg class="chart" viewBox="0 0 {} {}" aria-hidden="true">').format(WIDTH, HEIGHT)
    return head + Markup("").join(shapes) + Markup("</svg>")


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
