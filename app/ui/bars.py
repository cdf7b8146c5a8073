"""Bars of succeeded, failed and open, as SVG: styles in attributes are not allowed, shapes are."""

from dataclasses import dataclass
from typing import Protocol

from markupsafe import Markup

WIDTH = 1000
"""Units of a whole bar."""


class Counts(Protocol):
    @property
    def total(self) -> int: ...

    @property
    def succeeded(self) -> int: ...

    @property
    def failed(self) -> int: ...


class CountedRun(Protocol):
    @property
    def total(self) -> int: ...

    @property
    def processed(self) -> int: ...

    @property
    def failed(self) -> int: ...


@dataclass(frozen=True, slots=True)
class _Counts:
    total: int
    succeeded: int
    failed: int


def run_bar(run: CountedRun, kind: str = "") -> Markup:
    """The bar of a metadata run."""
    return bar(_Counts(run.total, run.processed - run.failed, run.failed), kind)


def bar(counts: Counts, kind: str = "") -> Markup:
    """The bar; what it shows is said in words too. A part that is there is never too thin to be seen."""
    parts = [("ok", counts.succeeded), ("bad", counts.failed)]
    x, shapes = 0, []
    for name, count in parts:
        width = 0 if not count else max(6, round(WIDTH * count / max(counts.total, 1)))
        width = min(width, WIDTH - x)
        if width:
            shapes.append(Markup('<rect class="{}" x="{}" width="{}" height="10"/>').format(name, x, width))
        x += width
    return Markup(
        '<svg class="bar {}" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="rest" width="1000" height="10"/>{}</svg>'
    ).format(kind, Markup("").join(shapes))
