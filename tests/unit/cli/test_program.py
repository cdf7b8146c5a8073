"""`pas` as a program: what it loads, its help, its exit codes, its completion."""

import argparse
import json
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from app import __main__, service_commands
from app.cli import program
from tests.servers.fetch import REPOSITORY
from tests.unit.cli.conftest import Done, Fake, problem

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


def test_help_names_all_commands(run: Callable[..., Done]) -> None:
    shown = run("--help")
    assert shown.code == 0
    for name in ("backfill", "jobs", *program.SERVICE_COMMANDS):
        assert f" {name} " in shown.out


def test_the_commands_of_the_service_are_shown_as_they_show_themselves() -> None:
    [commands] = [each for each in service_commands._parser()._actions if isinstance(each, argparse._SubParsersAction)]
    shown = {each.dest: each.help for each in commands._choices_actions}
    assert shown == program.SERVICE_COMMANDS
    assert set(shown) == __main__.SERVICE_COMMANDS


def test_without_a_command_it_is_wrong_usage_and_help_says_more(run: Callable[..., Done]) -> None:
    done = run()
    assert (done.code, done.out) == (2, "")
    assert "Commands that talk to a service" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("jbos list", 'Did you mean "jobs"'),
        ("jobs shwo 1", 'Did you mean "show"'),
        ("jobs show", "JOB requires an argument"),
        ("jobs list --ur x", "Did you mean --url"),
        ("jobs list --output xml", "Choose from"),
        ("jobs show 1 2", "Unused"),
        ("backfill send", "--file requires an argument"),
    ],
)
def test_wrong_usage_is_2_and_says_where_help_is(words: str, said: str, run: Callable[..., Done]) -> None:
    done = run(*words.split())
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "--help" in done.err.splitlines()[-1]


def test_help_is_where_wrong_usage_says(run: Callable[..., Done]) -> None:
    assert run("jobs", "shwo").err.splitlines()[-1] == "Help: pas jobs --help"


def test_a_bug_is_raised(fake: Fake) -> None:
    fake.says("GET", "/api/jobs", {"no": "items"})
    with pytest.raises(KeyError):
        fake.run("jobs", "list")


def test_ctrl_c_is_130(fake: Fake) -> None:
    def interrupt(_request: object) -> None:
        raise KeyboardInterrupt

    fake.says("GET", "/api/jobs", interrupt)
    assert fake.run("jobs", "list").code == 130


def test_a_refusal_is_1(fake: Fake) -> None:
    fake.says("GET", "/api/jobs", problem(403, detail="The role backfilljob:read is missing."))
    done = fake.run("jobs", "list")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("Error: The role backfilljob:read is missing. (HTTP 403)\n")


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


def test_a_terminal_of_another_encoding_gets_escapes() -> None:
    environment = {"PATH": "/usr/bin:/bin", "PYTHONIOENCODING": "latin-1", "PYTHONPATH": str(REPOSITORY)}
    token = f"e30.{urlsafe_b64encode(json.dumps({'name': '中'}).encode()).decode()}.c2ln"
    command = [sys.executable, "-m", "app", "whoami", "--url", "http://127.0.0.1:1", "--access-token", token]
    done = subprocess.run(command, capture_output=True, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    assert b"name        \\u4e2d" in done.stdout
