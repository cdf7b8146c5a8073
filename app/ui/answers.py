"""Answers of the page: templates filled, with the headers that keep everything foreign out."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.domain.visible import visible
from app.ui import bars, charts, texts, words
from app.ui.addresses import address_of, at
from app.ui.operator import Operator
from app.ui.page import Page
from app.ui.static_files import address_of_static

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class ViewEntry:
    """A view in the navigation. `role`: what one needs to see it."""

    title: str
    path: str
    role: tuple[str, str]


VIEWS = (
    ViewEntry("Jobs", "/ui/jobs", ("backfilljob", "read")),
    ViewEntry("Artifacts", "/ui/artifacts", ("artifact", "read")),
    ViewEntry("Metadata", "/ui/metadata", ("backfilljob", "read")),
    ViewEntry("Archive types", "/ui/archive-types", ("backfilljob", "read")),
    ViewEntry("Reconcile", "/ui/reconcile", ("backfilljob", "read")),
    ViewEntry("System", "/ui/system", ("backfilljob", "read")),
    ViewEntry("Audit", "/ui/audit", ("audit", "read")),
)


def headers_of(page: Page) -> dict[str, str]:
    """Of every answer of the page. Styles and scripts come from files of the service and from nowhere else."""
    targets = " ".join(("'self'", *page.login.form_targets))
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        f"form-action {targets}; base-uri 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


def _shown(value: object) -> object:
    """A text with what cannot be seen as escapes. What was through the filter `e` stays as it is: values of forms."""
    return visible(value, breaks=True) if type(value) is str else value


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    for filter_ in (
        *(words.number, words.size, words.per_second, words.duration, words.relative, words.exact, words.day),
        words.machine,
        words.value,
        words.plain,
    ):
        environment.filters[filter_.__name__] = filter_
    environment.globals |= {
        "share": words.share,
        "texts": texts,
        "bar": bars.bar,
        "run_bar": bars.run_bar,
        "chart": charts,
    }
    return environment


def render(
    request: Request,
    page: Page,
    template: str,
    operator: Operator | None = None,
    *,
    status: int = 200,
    **values: Any,
) -> Response:
    """A whole view. `operator`: None where nobody is logged in."""

    def place(path: str) -> str:
        return at(request, path)

    may: Callable[[str, str], bool] = (lambda *_: False) if operator is None else operator.caller.has
    content = (
        _environment()
        .get_template(template)
        .render(
            at=place,
            static=lambda name: place(address_of_static(name)),
            here=request.url.path.removeprefix(request.scope.get("root_path", "")),
            views=[view for view in VIEWS if may(*view.role)],
            may=may,
            who=None if operator is None else operator.caller.called,
            token="" if operator is None else operator.forgery_token,
            release=page.release,
            address=address_of(request, page.address),
            one_click=page.login.one_click,
            **values,
        )
    )
    return Response(content, status, headers_of(page), "text/html; charset=utf-8")


def led_to(request: Request, page: Page, path: str) -> Response:
    """Leads the browser to another view, by GET. `path` is without the context path."""
    return RedirectResponse(at(request, path), 303, headers_of(page))
