"""Standard output and standard error that are closed, full, or that nobody reads."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from threading import Thread

import httpx
import pytest

from app.__main__ import main
from app.cli.streams import Unwritable, put_json, standard_streams, tell
from tests.unit.cli.conftest import JOB, Fake, job, report
from tests.unit.cli.test_artifacts import content
from tests.unit.cli.test_follow import events

FULL = "No space left on device"
CLOSED = "Bad file descriptor"
DONE = job(result="succeeded", counts={"failed": 0})
PAGE = {"items": [job()] * 100, "next": None}
"""More than a buffer holds."""


@dataclass
class Streams:
    """The streams of the process, which a test replaces itself: pytest does so too, before each test."""

    directory: Path
    monkeypatch: pytest.MonkeyPatch
    opened: ExitStack

    def replace(self, name: str, path: Path | None, **how: str) -> None:
        stream = None if path is None else self.opened.enter_context(path.open("w", **how))  # type: ignore[call-overload]
        for each in (name, f"__{name}__"):
            self.monkeypatch.setattr(sys, each, stream)

    def are(self, how: str) -> str:
        """Standard output is like this, and standard error a file; why the former cannot be written."""
        self.replace("stderr", self.directory / "err")
        self.replace("stdout", Path("/dev/full") if how == "full" else None)
        return FULL if how == "full" else CLOSED

    def err(self) -> str:
        return (self.directory / "err").read_text()


@pytest.fixture
def streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Streams]:
    with ExitStack() as opened:
        yield Streams(tmp_path, monkeypatch, opened)


@pytest.mark.parametrize("how", ["full", "closed"])
@pytest.mark.parametrize(
    "words",
    [
        "jobs list",
        "jobs list --output json",
        "jobs list --output csv",
        f"jobs show {JOB}",
        f"jobs references {JOB} --output ndjson",
        f"backfill report --job-id {JOB}",
        f"jobs watch {JOB}",
        "--help",
        "--version",
        "jobs --help",
        "dev-token --data-dir {directory}",
        "verify --help",
    ],
)
def test_an_output_that_cannot_be_written_is_said_in_one_line(
    words: str, how: str, fake: Fake, tmp_path: Path, streams: Streams
) -> None:
    fake.says("GET", "/api/jobs", PAGE)
    fake.says("GET", f"/api/jobs/{JOB}", DONE)
    fake.says("GET", f"/api/jobs/{JOB}/events", lambda _request: events(DONE))
    fake.says("GET", f"/api/jobs/{JOB}/report", report(b"message: m\n"))
    lines = httpx.Response(200, content=b"{}\n", headers={"Content-Type": "application/x-ndjson"})
    fake.says("GET", f"/api/jobs/{JOB}/references", lines)
    why = streams.are(how)
    assert main(words.format(directory=tmp_path).split()) == 1
    [line] = streams.err().splitlines()
    assert line.removeprefix("pas: ") == f"Standard output cannot be written: {why}"


def test_a_pipe_that_nobody_reads_is_quiet(fake: Fake, streams: Streams) -> None:
    fake.says("GET", "/api/jobs", PAGE)
    read, write = os.pipe()
    os.close(read)
    streams.are("closed")
    streams.replace("stdout", Path(f"/dev/fd/{write}"))
    assert main(["jobs", "list"]) == 1
    os.close(write)
    assert streams.err() == ""


@pytest.mark.parametrize("how", ["full", "closed"])
def test_a_command_that_says_nothing_needs_no_output(how: str, fake: Fake, tmp_path: Path, streams: Streams) -> None:
    fake.says("GET", "/api/artifacts/1/content", content())
    streams.are(how)
    assert main(["artifacts", "get", "1", "--output", str(tmp_path / "content")]) == 0
    assert streams.err().startswith(f"{tmp_path}/content written")


@pytest.mark.parametrize("how", ["full", "closed"])
def test_errors_that_nobody_sees_change_no_exit_code(how: str, fake: Fake, tmp_path: Path, streams: Streams) -> None:
    failed = job(state="completed")
    fake.says("GET", f"/api/jobs/{JOB}/events", lambda _request: events(failed))
    fake.says("GET", f"/api/jobs/{JOB}/failures", {"failed": 1, "others": 0, "causes": []})
    streams.replace("stderr", Path("/dev/full") if how == "full" else None)
    streams.replace("stdout", tmp_path / "out")
    assert main(["jobs", "watch", JOB]) == 3
    assert JOB in (tmp_path / "out").read_text()
    assert main(["jobs", "shwo"]) == 2
    assert main(["check-config", "--config", "no-such-file"]) == 1


def test_streams_are_what_they_were_afterwards_and_as_they_were_meanwhile(streams: Streams, tmp_path: Path) -> None:
    streams.replace("stdout", tmp_path / "out", encoding="latin-1", errors="strict", newline="\n")
    before = sys.stdout
    with standard_streams():
        assert sys.stdout is not before
        assert isinstance(sys.stdout, TextIOWrapper)
        assert (sys.stdout.encoding, sys.stdout.errors) == ("latin-1", "backslashreplace")
        assert sys.stdout.fileno() == before.fileno()
        sys.stdout.write("ä中\r\n")
        sys.stdout.flush()
        sys.stdout.buffer.write(b"\xff")
    assert sys.stdout is before
    assert (tmp_path / "out").read_bytes() == b"\xe4\\u4e2d\r\n\xff"


def test_streams_of_others_stay(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout
    with standard_streams():
        assert sys.stdout is before
        tell("hidden")
    assert capsys.readouterr().err == "hidden\n"


def test_a_service_goes_on_when_nobody_takes_its_output(streams: Streams) -> None:
    streams.are("full")
    with standard_streams(strict=False):
        sys.stdout.write("it listens\n")
        sys.stdout.flush()
    assert streams.err() == ""


def test_a_pipe_that_does_not_block_is_waited_for(streams: Streams) -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    streams.replace("stdout", Path(f"/dev/fd/{write}"))
    os.set_blocking(sys.stdout.fileno(), False)
    os.close(write)
    got = bytearray()

    def reader() -> None:
        while piece := os.read(read, 1000):
            got.extend(piece)

    thread = Thread(target=reader)
    with standard_streams():
        thread.start()
        sys.stdout.write("x" * 1_000_000)
    sys.stdout.close()
    thread.join()
    os.close(read)
    assert len(got) == 1_000_000


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", r"\u00e4\u4e2d\ud83d\ude00"), ("latin-1", r"ä\u4e2d\ud83d\ude00")]
)
def test_json_has_escapes_of_json_where_the_encoding_lacks_a_character(
    encoding: str, shown: str, streams: Streams, tmp_path: Path
) -> None:
    streams.replace("stdout", tmp_path / "out", encoding=encoding, errors="strict")
    with standard_streams():
        put_json('{"id":"ä中😀"}')
    assert (tmp_path / "out").read_text(encoding) == f'{{"id":"{shown}"}}\n'


def test_what_is_left_after_the_first_failure_is_dropped(streams: Streams) -> None:
    streams.are("full")
    with standard_streams():
        sys.stdout.write("a")
        with pytest.raises(Unwritable, match=FULL):
            sys.stdout.flush()
        sys.stdout.write("b" * 100_000)
        sys.stdout.flush()


def test_ctrl_c_while_a_command_is_loaded_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_words: object) -> int:
        raise KeyboardInterrupt

    for place in ("app.cli.program.main", "app.service_commands.main"):
        monkeypatch.setattr(place, interrupted)
    assert main(["jobs", "list"]) == main(["verify"]) == 130
