"""`pas` refuses mistakes of its users with one line; what nobody foresaw keeps its traceback."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import service_commands as command_line
from app.__main__ import main
from app.process import check_config


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """The commands set up the log of the whole process."""
    levels = {name: logging.getLogger(name).level for name in ["", *logging.root.manager.loggerDict]}
    handlers = logging.root.handlers[:]
    yield
    logging.captureWarnings(False)
    logging.root.handlers[:] = handlers
    for name in ["", *logging.root.manager.loggerDict]:
        logging.getLogger(name).setLevel(levels.get(name, logging.NOTSET))


@pytest.mark.parametrize("error", [ValueError("a bug"), OSError(5, "a bug"), KeyError("a bug"), UnicodeError("a bug")])
@pytest.mark.parametrize("arguments", [["serve", "--embedded"], ["check-config"], ["dev-token"], ["migrate"]])
def test_a_bug_is_raised_with_its_traceback(
    arguments: list[str], error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_given: object, **_named: object) -> None:
        raise error

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(check_config, "check", broken)
    for name in ("load_settings", "mint", "configure_logging"):
        monkeypatch.setattr(command_line, name, broken)
    with pytest.raises(type(error)) as raised:
        main(arguments)
    assert raised.value is error


def test_a_bug_in_verify_shows_its_traceback_and_is_no_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_given: object, **_named: object) -> None:
        raise OSError(5, "a bug")

    monkeypatch.setattr(command_line, "load_settings", broken)
    assert main(["verify"]) == 3
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("PAS_LOG_LEVEL", "LOUD")
    assert main(["verify"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 1
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 1, shown
    assert shown[0].startswith("pas: ")
    return shown[0]


def test_a_log_level_or_format_that_is_none_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PAS_LOG_LEVEL", "LOUD")
    assert "PAS_LOG_LEVEL" in refusal(capsys, "serve", "--embedded")
    monkeypatch.setenv("PAS_LOG_LEVEL", "INFO")
    monkeypatch.setenv("PAS_LOG_FORMAT", "xml")
    assert "PAS_LOG_FORMAT" in refusal(capsys, "migrate")


def test_a_data_directory_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    line = refusal(capsys, "serve", "--embedded", "--data-dir", str(tmp_path / "file"))
    assert "the data directory" in line
    line = refusal(capsys, "dev-token", "--data-dir", str(tmp_path / "file"))
    assert "key.pem cannot be read" in line


def test_a_role_or_a_lifetime_of_a_token_that_is_none_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "roles look like" in refusal(capsys, "dev-token", "--data-dir", str(tmp_path), "--role", "everything")
    assert "positive number" in refusal(capsys, "dev-token", "--data-dir", str(tmp_path), "--ttl", "0")


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "no such host", "192.0.2.1"])
def test_an_address_that_cannot_be_listened_on_is_refused_in_one_line(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("application.yml").write_text("jeap.processarchive.backfill.enabled: false")
    monkeypatch.setenv("PAS_LOG_LEVEL", "ERROR")  # nothing else on stderr
    assert f"cannot listen on {host} port 0: " in refusal(capsys, "serve", "--host", host, "--port", "0")


def test_several_embedded_processes_are_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--embedded", "--data-dir", str(tmp_path / "new"), "--processes", "2"]) == 2
    assert "pas: --embedded is one process: broker and database live in it" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("number", ["0", "65", "-1", "two", "2.0", "²"])
def test_a_number_of_processes_that_cannot_be_is_wrong_usage(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", f"--processes={number}"])
    assert ended.value.code == 2
    assert f"{number!r} is no number from 1 to 64" in capsys.readouterr().err


def test_mistakes_of_settings_or_an_address_are_said_once_before_any_process_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def never(*_given: object, **_named: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("asyncio.create_subprocess_exec", never)
    monkeypatch.setenv("PAS_LOG_LEVEL", "ERROR")
    Path("application.yml").write_text("jeap.processarchive.backfill.enabledd: true")
    assert "jeap.processarchive.backfill.enabledd" in refusal(capsys, "serve", "--processes", "2")
    Path("application.yml").write_text("jeap.processarchive.backfill.enabled: false")
    line = refusal(capsys, "serve", "--processes", "2", "--host", "192.0.2.1", "--port", "0")
    assert "cannot listen on 192.0.2.1 port 0: " in line
