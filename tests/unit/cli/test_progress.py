"""What is said of a job that goes on: few lines when piped, all that matters on a terminal."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console

from app.cli.progress import QUIET, Plain, _drawn
from tests.unit.cli.conftest import job


def at(done: int, **members: Any) -> dict[str, Any]:
    counts = {"total": 1000, "open": 1000 - done, "succeeded": done, "failed": 0}
    return job(**{"state": "open", "result": None, "counts": counts, **members})


def test_piped_it_is_a_line_for_each_tenth_and_for_each_change() -> None:
    lines: list[str] = []
    plain = Plain(lines.append, lambda: 0.0)
    for done in range(0, 1001):
        plain.job(at(done), None)
    assert len(lines) == 11
    assert lines[0] == "open 0/1,000 (0%); 0 archived; 1,000 open"
    assert lines[1].startswith("open 100/1,000 (10%)")
    plain.job(at(1000, paused=True, pausedBy="Dora", pausedAt="2026-05-08T07:26:37Z"), None)
    assert len(lines) == 12
    assert "by Dora" in lines[-1]
    plain.job(job(), None)
    assert len(lines) == 12, "the end goes to standard output"


def test_piped_it_says_once_a_minute_that_it_goes_on() -> None:
    lines: list[str] = []
    now = [0.0]
    plain = Plain(lines.append, lambda: now[0])
    for now[0] in (0.0, QUIET - 1, QUIET, QUIET + 1, 2 * QUIET):
        plain.job(at(1), None)
    assert len(lines) == 3


def test_piped_a_connection_that_stays_broken_is_one_line() -> None:
    lines: list[str] = []
    plain = Plain(lines.append, lambda: 0.0)
    for _ in range(5):
        plain.broken("The service cannot be reached.")
    assert lines == ["The service cannot be reached. Trying again …"]
    plain.job(at(1), None)
    plain.broken("The service cannot be reached.")
    assert len(lines) == 3


def drawn(found: dict[str, Any], failures: Any = None) -> str:
    out = io.StringIO()
    Console(file=out, width=100).print(_drawn(found, failures))
    return out.getvalue()


def test_the_bar_has_rate_end_and_causes() -> None:
    end = (datetime.now(UTC) + timedelta(minutes=3, seconds=30)).isoformat()
    failures = {"causes": [{"cause": "HTTP 404", "count": 62}], "others": 0}
    shown = drawn(at(500, rate=12.5, estimatedEnd=end), failures)
    for said in ("open", "500/1,000", "50%", "12.5 a second", "ends in about 3 min", "62 × HTTP 404"):
        assert said in shown
    assert "━" in shown


def test_the_bar_says_what_is_waited_for_and_promises_no_end() -> None:
    waiting = {"for": "source", "name": "Osv", "since": "2026-05-08T07:26:37Z", "reason": "HTTP 503", "nextTry": None}
    shown = drawn(at(500, waiting=waiting, rate=None, estimatedEnd=None))
    assert "waiting" in shown
    assert "waits for source Osv since 2026-05-08" in shown
    assert "HTTP 503" in shown
    assert "ends in" not in shown


def test_a_component_is_named_once() -> None:
    waiting = {"for": "broker", "name": "broker", "since": None, "reason": "no broker answers", "nextTry": None}
    assert "waits for broker: no broker answers" in drawn(at(500, waiting=waiting))


def test_what_others_wrote_cannot_steer_the_terminal() -> None:
    failures = {"causes": [{"cause": "evil \x1b[2J [red]x[/red] \u202e", "count": 1}], "others": 0}
    shown = drawn(at(1), failures)
    assert "\x1b[2J" not in shown
    assert "\u202e" not in shown
    assert "\\x1b[2J [red]x[/red]" in shown
