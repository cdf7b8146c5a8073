"""Logs: one JSON object a line, or short lines; no secrets; no floods."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from typing_extensions import override

from app.telemetry import logs
from app.telemetry.once_per import OncePer


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in logs.QUIET}
    yield
    logging.captureWarnings(False)
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def configured(**environment: str) -> io.StringIO:
    stream = io.StringIO()
    logs.configure_logging(environment, stream)
    return stream


def test_a_line_is_a_json_object_with_its_extra_fields() -> None:
    stream = configured()
    logging.getLogger("app.jobs").info("job %s accepted", "j1", extra={"references": 3, "trace_id": "ab"})
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "INFO",
        "logger": "app.jobs",
        "message": "job j1 accepted",
        "references": 3,
        "trace_id": "ab",
    }


def test_an_exception_stays_on_its_line() -> None:
    stream = configured()
    try:
        raise ValueError("line\nbreak")
    except ValueError:
        logging.getLogger("app").exception("failed")
    (line,) = stream.getvalue().splitlines()
    assert "ValueError: line\nbreak" in json.loads(line)["exception"]


@pytest.mark.parametrize("style", ["json", "text"])
def test_a_line_is_one_for_every_reader(style: str) -> None:
    stream = configured(PAS_LOG_FORMAT=style)
    logging.getLogger("app.jobs").info("archived \x85", extra={"reference": "\u2028ä\u2029"})
    [line] = stream.getvalue().splitlines()
    assert "\\u2028ä\\u2029" in line


def test_text_is_short_and_names_the_extra_fields() -> None:
    stream = configured(PAS_LOG_FORMAT="text")
    logging.getLogger("app.jobs").warning("waiting", extra={"component": "broker"})
    assert stream.getvalue().partition(" ")[2] == "WARNING jobs: waiting (component=broker)\n"


def test_a_terminal_gets_text() -> None:
    class Terminal(io.StringIO):
        @override
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    logs.configure_logging({}, stream)
    logging.getLogger("app").info("hello")
    assert not stream.getvalue().startswith("{")


@pytest.mark.parametrize("style", ["json", "text"])
def test_secrets_are_blotted_out(style: str) -> None:
    stream = configured(PAS_LOG_FORMAT=style)
    try:
        raise OSError("GET http://user:hush@host/x with Bearer eyJhbGciOi.J9.hush")
    except OSError:
        logging.getLogger("app").exception("at postgresql://u:hush@h:5432/n", extra={"client_secret": "hush"})
    assert "hush" not in stream.getvalue()
    assert "postgresql://u:***@h:5432/n" in stream.getvalue()


def test_level_is_taken_from_the_environment() -> None:
    stream = configured(PAS_LOG_LEVEL="warning")
    logging.getLogger("app").info("quiet")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("variable", ["PAS_LOG_LEVEL", "PAS_LOG_FORMAT"])
def test_an_impossible_value_is_named(variable: str) -> None:
    with pytest.raises(ValueError, match=variable):
        configured(**{variable: "loud"})


def test_a_library_that_repeats_itself_is_heard_once() -> None:
    stream = configured()
    for node in range(100):
        logging.getLogger("aiokafka.conn").error("Unable connect to node with id %s", node)
    logging.getLogger("aiokafka.conn").info("below the level of this library")
    for _ in range(2):
        logging.getLogger("app").error("ours are never held back")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3, lines


def test_once_per_keeps_a_clock_for_each_key(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("app.telemetry.once_per.time.monotonic", lambda: now[0])
    due = OncePer(10)
    assert [due("a"), due("a"), due("b")] == [True, False, True]
    now[0] += 10
    assert due("a")


@pytest.mark.parametrize(("style", "begins"), [("json", '{"time":'), ("text", "")])
def test_one_of_several_processes_names_itself_in_every_line(style: str, begins: str) -> None:
    stream = io.StringIO()
    logs.configure_logging({"PAS_LOG_FORMAT": style}, stream, process=2)
    logging.getLogger("app.jobs").info("accepted", extra={"references": 3})
    line = stream.getvalue()
    assert line.startswith(begins)
    if style == "json":
        assert json.loads(line)["process"] == 2
    else:
        assert "INFO    [2] jobs: accepted (references=3)" in line
