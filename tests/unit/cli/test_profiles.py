"""Profiles and addresses: which service is meant."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Fake

PAGE: dict[str, Any] = {"items": [], "next": None}


@pytest.fixture
def profiles(home: Path) -> Path:
    home.mkdir(parents=True)
    path = home / "config.toml"
    path.write_text('[profiles.default]\nurl = "https://default.test/"\n[profiles.prod]\nurl = "https://prod.test"\n')
    return path


def asked(fake: Fake, *words: str) -> str:
    for host in ("default.test", "prod.test", "option.test", "pas.example.org/archive"):
        fake.says("GET", f"https://{host}/api/jobs", PAGE)
    done = fake.run("jobs", "list", *words)
    assert done.code == 0, done.err
    return fake.requests[-1].url.host


def test_the_option_goes_before_the_profile_that_before_the_variable_that_before_the_default(
    fake: Fake, profiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asked(fake, "--profile", "prod", "--url", "https://option.test/") == "option.test"
    assert asked(fake, "--profile", "prod") == "prod.test"
    assert asked(fake) == "pas.example.org"
    monkeypatch.delenv("PAS_URL")
    assert asked(fake) == "default.test"


def test_an_unknown_profile_is_wrong_usage_and_names_those_there_are(fake: Fake, profiles: Path) -> None:
    done = fake.run("jobs", "list", "--profile", "prd")
    assert done.code == 2
    assert "there are default, prod" in done.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[profiles.default]\nurl = 1", "profiles.default.url must be a text"),
        ("[profiles.default]\nuri = 'a'", "unknown key 'uri'"),
        ("profiles = 1", "profiles are tables"),
        ("[profiles", "cannot be read"),
        ("[profiles]\ndefault = 1", "must be a table"),
    ],
)
def test_a_mistake_in_the_file_is_named(
    text: str, said: str, fake: Fake, profiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PAS_URL")
    profiles.write_text(text)
    done = fake.run("jobs", "list")
    assert done.code == 1
    assert str(profiles) in done.err
    assert said in done.err


def test_without_an_address_the_ways_to_one_are_said(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PAS_URL")
    done = fake.run("jobs", "list")
    assert done.code == 2
    assert "--url" in done.err
    assert "PAS_URL" in done.err
