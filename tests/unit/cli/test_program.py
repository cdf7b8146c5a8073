"""`pas` as a program: what it loads, its help, its exit codes, its completion."""

import argparse
from collections.abc import Callable

import pytest

from app import __main__, service_commands
from app.cli import program
from tests.unit.cli.conftest import Done, Fake, problem


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


def test_a_bug_is_raised(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.cli.jobs.rows", None)
    fake.says("GET", "/api/jobs", {"items": [], "next": None})
    with pytest.raises(TypeError):
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
