"""`pas` as a process: what it loads, its completion, and whom it writes to."""

import json
import subprocess
import sys
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
import yaml

from tests.servers.fetch import REPOSITORY

SERVER = (
    "app.main",
    "app.settings",
    "app.api",
    "app.telemetry",
    "sqlalchemy",
    "aiokafka",
    "fastapi",
    "aiohttp",
    "pydantic",
)
SLOW = ("httpx", "keyring", "asyncio", "rich.progress_bar", "importlib.metadata")
"""What help does not need either."""

LOADED = """
import sys
from app.__main__ import main
try:
    main(sys.argv[2:])
finally:
    loaded = [name for name in sys.argv[1].split(",") if name in sys.modules]
    print("loaded:", ",".join(loaded), file=sys.stderr)
"""


def loaded(forbidden: tuple[str, ...], *words: str) -> str:
    command = [sys.executable, "-c", LOADED, ",".join(forbidden), *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, stdin=subprocess.DEVNULL)
    return done.stderr.splitlines()[-1].removeprefix("loaded:").strip()


@pytest.mark.parametrize(
    "words",
    [
        "--help",
        "--version",
        "jobs --help",
        "jobs list --url http://127.0.0.1:1 --access-token t",
        "backfill send --help",
    ],
)
def test_nothing_of_the_server_is_loaded(words: str) -> None:
    assert loaded(SERVER, *words.split()) == ""


def test_help_loads_nothing_that_takes_time() -> None:
    assert loaded(SLOW, "--help") == ""


def test_what_is_looked_for_would_be_found() -> None:
    by_the_service = [name for name in SERVER if name != "aiokafka"]  # that only where it talks to Kafka
    assert loaded(SERVER, "serve", "--config", "no-such-file") == ",".join(by_the_service)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_installed_where_the_shell_looks(shell: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app", "--install-completion", "--shell", shell],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "SHELL": f"/bin/{shell}"},
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    scripts = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    for word in ("jobs", "watch", "--references-csv", "check-config"):
        assert word in scripts


def test_nobody_who_reads_on_is_no_traceback(tmp_path: Path) -> None:
    command = f"{sys.executable} -m app --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=REPOSITORY)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("words", ["--help", "--version", "jobs list --help", "dev-token --data-dir .", "serve --help"])
@pytest.mark.parametrize(
    ("redirected", "said"),
    [
        (">/dev/full", "Standard output cannot be written: No space left on device"),
        (">&-", "Standard output cannot be written: Bad file descriptor"),
        ("<&- >&-", "Standard output cannot be written: Bad file descriptor"),
    ],
)
def test_an_output_that_cannot_be_written_is_said(words: str, redirected: str, said: str, tmp_path: Path) -> None:
    expected = (0, []) if words.startswith("serve") else (1, [said])  # a service does not end with who looks at it
    command = f"{sys.executable} -m app {words} {redirected}"
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(["bash", "-c", command], stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment)
    assert (done.returncode, [line.removeprefix("pas: ") for line in done.stderr.splitlines()]) == expected


@pytest.mark.parametrize(("words", "code"), [("--version", 0), ("jobs shwo", 2), ("check-config --config none", 1)])
@pytest.mark.parametrize("redirected", ["2>/dev/full", "2>&-"])
def test_errors_that_nobody_sees_change_no_exit_code(words: str, code: int, redirected: str) -> None:
    command = f"{sys.executable} -m app {words} {redirected}"
    assert subprocess.run(["bash", "-c", command], stdout=subprocess.DEVNULL, cwd=REPOSITORY).returncode == code


def whoami(name: str, encoding: str, *words: str) -> bytes:
    """What the command prints to a terminal of this encoding for a token of this name."""
    environment = {"PATH": "/usr/bin:/bin", "PYTHONIOENCODING": encoding, "PYTHONPATH": str(REPOSITORY)}
    token = f"e30.{urlsafe_b64encode(json.dumps({'name': name}).encode()).decode()}.c2ln"
    command = [sys.executable, "-m", "app", "whoami", "--url", "http://127.0.0.1:1", "--access-token", token, *words]
    done = subprocess.run(command, capture_output=True, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_terminal_of_another_encoding_gets_escapes() -> None:
    assert b"name        \\u4e2d" in whoami("中", "latin-1")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "utf-16"])
def test_data_can_be_read_in_every_encoding(encoding: str) -> None:
    name = "é中😀"
    assert json.loads(whoami(name, encoding, "--output", "json").decode(encoding))["name"] == name
    assert json.loads(whoami(name, encoding, "--output", "ndjson").decode(encoding))["name"] == name
    assert yaml.safe_load(whoami(name, encoding, "--output", "yaml").decode(encoding))["name"] == name
