"""What README and docs show on the command line is what happens, on a real embedded service and the example source."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.journeys.console import check, commands_of
from tests.servers.fetch import REPOSITORY, ServerUnavailable, need

SERVICE, SOURCE = "http://127.0.0.1:8080", "http://127.0.0.1:8081"
"""The addresses in the documents; the tests take free ones."""


@pytest.fixture(scope="module", autouse=True)
def _curl() -> None:
    try:
        need("curl", "curl")
    except ServerUnavailable as unavailable:
        pytest.skip(str(unavailable))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A directory that looks like the checkout to the commands, and whose files may be written."""
    for name in ("alembic", "app", "config", "contracts", "examples"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "pas").write_text(f'#!/bin/sh\nexec {sys.executable} -m app "$@"\n')
    (programs / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    return tmp_path


@contextmanager
def running(command: str, directory: Path, settings: Sequence[str] = ()) -> Iterator[str]:
    """A program of a document on a free port; yields the address that it prints."""
    log = directory / "program.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["env", *settings, "setsid", "bash", "-c", f"exec {command} --port 0"],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 60
        while not (found := re.search(r"^listening on (http://\S+)$", log.read_text(), re.MULTILINE)):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        # A reader is slower than we are: the service is ready by then. The source has no health, and is at once.
        while httpx.get(f"{found[1]}/health/ready").status_code == 503:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield found[1]
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0, log.read_text()


@pytest.fixture
def source(checkout: Path) -> Iterator[str]:
    document = commands_of(REPOSITORY / "docs/getting-started.md")
    [command] = [command for command in document if command.program == "source"]
    with running(command.text, checkout) as address:
        yield address


@pytest.fixture
def service(checkout: Path, source: str) -> Iterator[str]:
    document = commands_of(REPOSITORY / "docs/getting-started.md")
    [command] = [command for command in document if command.program == "service"]
    archive_types = checkout / "archive-types.yml"
    archive_types.write_text((REPOSITORY / "config/archive-types.yml").read_text().replace(SOURCE, source))
    settings = [
        f"JEAP_PROCESSARCHIVE_CONFIGURATION_LOCATION={archive_types}",
        f"JEAP_SECURITY_OAUTH2_CLIENT_EXAMPLE_SOURCE_TOKEN_URI={source}/oauth/token",
    ]
    with running(command.text, checkout, settings) as address:
        yield address


def test_getting_started_and_what_comes_after_go_as_they_say(checkout: Path, service: str, source: str) -> None:
    """One after the other, as a reader would: each goes on with what the ones before left."""
    commands = []
    for name in ("getting-started", "evidence", "audit", "jobs", "metadata", "search"):
        found = [command for command in commands_of(REPOSITORY / f"docs/{name}.md") if not command.program]
        assert found, name
        commands += found
    check(commands, checkout, {SERVICE: service, SOURCE: source})


@pytest.mark.parametrize("name", ["README.md", "docs/source-services.md", "docs/operations.md", "docs/command-line.md"])
def test_commands_print_what_the_document_says(name: str, checkout: Path, service: str, source: str) -> None:
    commands = commands_of(REPOSITORY / name)
    assert commands
    check(commands, checkout, {SERVICE: service, SOURCE: source})


def test_the_programs_say_where_they_listen() -> None:
    document = commands_of(REPOSITORY / "docs/getting-started.md")
    said = {command.program: command.expected for command in document if command.program}
    page = f"the page is at {SERVICE}/ui/"
    assert said == {"source": [f"listening on {SOURCE}"], "service": [f"listening on {SERVICE}", page]}
