"""`pas login` with a real authorization server: by device code and as a client, before a real service."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import MakeArchive
from tests.servers import Oidc
from tests.support.command_line import Person
from tests.support.service import Service


@pytest.fixture(scope="module")
def service(make_archive: MakeArchive) -> Iterator[Service]:
    archive = make_archive(settings={"jeap.security.oauth2.cli-client-id": "pas-cli"})
    with archive.service() as started:
        yield started


@pytest.fixture
def person(tmp_path: Path, service: Service) -> Person:
    return Person(tmp_path, {"PAS_URL": service.url})


def logins(person: Person) -> dict[str, Any]:
    return dict(json.loads((person.home / ".config/pas/logins.json").read_text()))


def test_by_device_code_with_nothing_but_the_address_and_renewed_by_itself(
    person: Person, service: Service, oidc: Oidc
) -> None:
    assert "Missing access token" in person.pas("jobs", "list").stderr
    with person.terminal("login") as terminal:
        code = terminal.wait_for(r"enter the code  (\w{4}-\w{4})")[1]
        oidc.confirm(code)
        terminal.wait_for(f"Logged in to {service.url} as Dora Device")
        assert terminal.exit_code() == 0
    listed = person.pas("jobs", "list", "--output", "json")
    assert (listed.returncode, listed.stdout) == (0, "[]\n"), listed.stderr
    assert "Dora Device" in person.pas("whoami").stdout

    before = logins(person)
    login = {**before[service.url], "expires": 0}
    (person.home / ".config/pas/logins.json").write_text(json.dumps({service.url: login}))
    both = [subprocess.Popen([sys.executable, "-m", "app", "jobs", "list"], **person.started()) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0], "one of them renewed it, the other took that"
    after = logins(person)[service.url]
    assert after["access_token"] != login["access_token"]
    assert after["refresh_token"] != login["refresh_token"]

    assert person.pas("logout").returncode == 0
    assert logins(person) == {}
    assert person.pas("jobs", "list").returncode == 1


def test_a_person_who_says_no_is_not_logged_in(person: Person, oidc: Oidc) -> None:
    with person.terminal("login") as terminal:
        oidc.confirm(terminal.wait_for(r"enter the code  (\w{4}-\w{4})")[1], refuse=True)
        terminal.wait_for("The login was refused")
        assert terminal.exit_code() == 1


def test_as_a_client_with_the_secret_from_standard_input(person: Person, oidc: Oidc) -> None:
    done = person.pas("login", "--client-id", "pas-reader", stdin="secret\n")
    assert done.returncode == 0, done.stderr
    assert "as Rita Reader" in done.stdout
    assert person.pas("jobs", "list").returncode == 0
    refused = person.pas("jobs", "pause", "88dbb65f-9634-4685-bc86-17b72d715d3e")
    assert refused.returncode == 1
    assert re.search(r"HTTP 403\).*\n.*pas whoami", refused.stderr)
    wrong = person.pas("login", "--client-id", "pas-reader", stdin="wrong\n")
    assert wrong.returncode == 1
    assert "invalid_client" in wrong.stderr
