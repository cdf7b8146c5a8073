"""The command line before a running service: jobs from a file to the report, followed in a terminal."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import pytest
import yaml

from tests.servers.ports import free_ports
from tests.servers.source import Source
from tests.support.archive_types import OSV, submission, unversioned
from tests.support.command_line import Person
from tests.support.embedded import Embedded
from tests.support.service import Service


@pytest.fixture(scope="module")
def source() -> Iterator[Source]:
    with Source() as started:
        yield started


@pytest.fixture(autouse=True)
def _as_new(source: Source) -> None:
    source.clear()


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory, source: Source) -> Embedded:
    made = Embedded(tmp_path_factory.mktemp("service"), source, {"jeap.processarchive.metadata-backfill.enabled": True})
    types = yaml.safe_load((made.config.parent / "archive-types.yml").read_text())
    types["archiveTypes"][0]["metadata_extraction_paths"] = [{"key": "osv_id", "path": "id"}]
    (made.config.parent / "archive-types.yml").write_text(yaml.safe_dump(types))
    return made


@pytest.fixture(scope="module")
def service(embedded: Embedded) -> Iterator[Service]:
    with embedded.service() as started:
        yield started


@pytest.fixture
def person(tmp_path: Path, service: Service, embedded: Embedded) -> Person:
    return Person(tmp_path, {"PAS_URL": service.url, "PAS_TOKEN": embedded.token})


def write(person: Person, *references: str) -> str:
    """A submission of these in the home; its name."""
    (person.home / "job.yml").write_bytes(submission(OSV, unversioned(*references)))
    return "job.yml"


def test_from_a_file_to_the_report(person: Person, source: Source) -> None:
    source.script(match="missing-*", status=404)
    job = str(uuid4())
    file = write(person, "cli-1", "cli-2", "missing-1")
    sent = person.pas("backfill", "send", "--file", file, "--job-id", job, "--wait")
    assert sent.returncode == 3, sent.stderr
    assert sent.stdout.splitlines() == [
        f"Backfill job {job} created successfully. 3 references submitted.",
        f"Job {job} succeeded in part: 2 archived; 1 failed: "
        "1 × Failed reading artifact from source service: HTTP 404.",
    ]
    again = person.pas("backfill", "send", "--file", file, "--job-id", job)
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, sent.stdout.splitlines()[0])

    report = person.pas("backfill", "report", "--job-id", job, "--output", "report.yml")
    assert report.stdout == "Report written to report.yml\n"
    read = yaml.safe_load((person.home / "report.yml").read_text())
    assert [each["state"] for each in read["archiveDataReferences"]] == ["succeeded", "succeeded", "failed"]
    assert yaml.safe_load(person.pas("backfill", "report", "--job-id", job).stdout) == read

    listed = person.pas("jobs", "list", "--output", "json", "--message", OSV.name)
    assert job in [each["jobId"] for each in json.loads(listed.stdout)]
    shown = person.pas("jobs", "show", job)
    assert "2 archived; 1 failed" in shown.stdout
    rows = list(csv.DictReader(io.StringIO(person.pas("jobs", "show", job, "--output", "csv").stdout)))
    assert rows[0]["countsFailed"] == "1"

    source.clear()
    retried = person.pas("jobs", "retry", job, "--output", "json")
    new = json.loads(retried.stdout)["jobId"]
    watched = person.pas("jobs", "watch", new)
    assert (watched.returncode, watched.stdout) == (0, f"Job {new} succeeded: 1 archived.\n")


def test_mistakes_and_refusals(person: Person, source: Source) -> None:
    job = str(uuid4())
    assert person.pas("backfill", "send", "--file", write(person, "cli-a"), "--job-id", job).returncode == 0
    other = person.pas("backfill", "send", "--file", write(person, "cli-b"), "--job-id", job)
    assert (other.returncode, other.stderr.splitlines()[0]) == (1, f"Job {job} already exists.")
    (person.home / "job.yml").write_text("message: X\ntopic: y\narchiveDataReferences:\n- id: ' '\n")
    wrong = person.pas("backfill", "send", "--file", "job.yml")
    assert wrong.returncode == 1
    assert "archiveDataReferences[0].id (line 4)" in wrong.stderr
    unknown = person.pas("backfill", "report", "--job-id", str(uuid4()))
    assert unknown.returncode == 1
    assert unknown.stderr.endswith(" not found.\n")
    assert person.pas("jobs", "show", "5").returncode == 1
    stranger = replace(person, environment={**person.environment, "PAS_TOKEN": "nonsense"})
    refused = stranger.pas("jobs", "list")
    assert refused.returncode == 1
    assert "The token is not accepted" in refused.stderr


def test_references_of_a_csv_file_and_a_token_from_standard_input(person: Person) -> None:
    (person.home / "job.yml").write_text(f"message: {OSV.name}\ntopic: {OSV.topic}\n")
    (person.home / "references.csv").write_text("id\ncsv-1\n\n# no\ncsv-1\n'=x\n")
    token = person.environment["PAS_TOKEN"]
    without = Person(person.home, {"PAS_URL": person.environment["PAS_URL"]})
    words = ("backfill", "send", "--file", "job.yml", "--references-csv", "references.csv")
    sent = without.pas(*words, "--wait", stdin=f"{token}\n")
    assert sent.returncode == 0, sent.stderr
    assert "2 references submitted." in sent.stdout
    assert sent.stderr.splitlines()[0] == "Warning: Duplicate reference id=csv-1 on line 5. Will be sent once."
    assert without.pas(*words).returncode == 1


def test_artifacts_are_searched_and_their_content_is_gotten(person: Person) -> None:
    done = person.pas("backfill", "send", "--file", write(person, "found-1", "found-2"), "--wait")
    assert done.returncode == 0, done.stderr
    found = person.pas("artifacts", "search", "--message", OSV.name, "--id", "found-1", "--output", "json")
    [artifact] = json.loads(found.stdout)
    id_ = str(artifact["id"])
    rows = person.pas("artifacts", "search", "--where", "osv_id~found-", "--output", "ndjson")
    assert {json.loads(line)["referenceId"] for line in rows.stdout.splitlines()} == {"found-1", "found-2"}, rows.stderr
    exactly = f"osv_id={artifact['metadata']['osv_id']}"
    assert len(person.pas("artifacts", "search", "--where", exactly).stdout.splitlines()) == 2
    table = person.pas("artifacts", "search", "--where", "osv_id~found-2")
    assert ["found-2" in line for line in table.stdout.splitlines()] == [False, True]
    csv_rows = list(csv.DictReader(io.StringIO(person.pas("artifacts", "search", "--output", "csv").stdout)))
    assert "found-1" in [row["referenceId"] for row in csv_rows]
    shown = person.pas("artifacts", "show", id_)
    assert artifact["hash"] in shown.stdout
    gotten = person.pas("artifacts", "get", id_, "--output", "document.json")
    assert gotten.returncode == 0, gotten.stderr
    content = (person.home / "document.json").read_bytes()
    assert sha256(content).hexdigest() == artifact["hash"]
    assert person.pas("artifacts", "get", id_).stdout.encode() == content
    unknown = person.pas("artifacts", "search", "--where", "nothing=1")
    assert unknown.returncode == 1
    assert "is a key of no archive type" in unknown.stderr
    assert person.pas("artifacts", "get", "999999").returncode == 1


def test_metadata_keys_and_runs(person: Person, service: Service) -> None:
    assert person.pas("backfill", "send", "--file", write(person, "meta-1"), "--wait").returncode == 0
    columns = person.pas("metadata", "columns", "--output", "json")
    assert "osv_id" in [each["key"] for each in json.loads(columns.stdout)]
    tried = person.pas("metadata", "run", "--message", OSV.name, "--mode", "all", "--dry-run")
    assert tried.returncode == 0, tried.stderr
    assert "It would read" in tried.stdout
    words = ("metadata", "run", "--message", OSV.name, "--key", "osv_id", "--mode", "all", "--output", "json")
    run = json.loads(person.pas(*words).stdout)["id"]
    assert run in person.pas("metadata", "runs").stdout
    service.wait("the run ended", lambda: service.api("GET", f"/api/metadata-backfills/{run}").json()["completed"])
    assert "completed" in person.pas("metadata", "show", run).stdout
    for command in ("pause", "resume", "cancel"):
        done = person.pas("metadata", command, run)
        assert (done.returncode, "The run is completed; nothing was changed." in done.stderr) == (1, True)
    wrong = person.pas("metadata", "run", "--message", "Nothing")
    assert wrong.returncode == 1


def test_an_embedded_service_says_whose_tokens_it_takes(person: Person) -> None:
    done = person.pas("login")
    assert done.returncode == 1
    assert "pas dev-token" in done.stderr
    assert "Dora Developer" in person.pas("whoami").stdout


def test_preflight(person: Person, source: Source) -> None:
    source.script(match="pre-2", status=404)
    done = person.pas("jobs", "preflight", "--file", write(person, "pre-1", "pre-2"))
    assert done.returncode == 1
    assert "would-succeed" in done.stdout
    assert "HTTP 404" in done.stdout
    well = person.pas("jobs", "preflight", "--file", write(person, "pre-1"), "--output", "json")
    assert (well.returncode, json.loads(well.stdout)["ok"]) == (0, True)


def test_pause_resume_redrive_cancel(person: Person, source: Source) -> None:
    source.script(match="steer-*", status=204)
    job = str(uuid4())
    assert person.pas("backfill", "send", "--file", write(person, "steer-1"), "--job-id", job).returncode == 0
    for command, said in (
        ("pause", "is paused"),
        ("resume", "goes on"),
        ("redrive", "was set off again"),
        ("cancel", "is cancelled"),
    ):
        done = person.pas("jobs", command, job)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"Job {job} {said}" in done.stdout
    late = person.pas("jobs", "pause", job)
    assert late.returncode == 1
    assert "has ended" in late.stderr


def test_watched_in_a_terminal_with_ctrl_c_and_again(person: Person, source: Source) -> None:
    source.script(match="slow-*", delay_ms=400)
    source.script(match="slowly-missing-*", delay_ms=300, status=404)
    references = [*(f"slow-{number}" for number in range(400)), *(f"slowly-missing-{number}" for number in range(3))]
    job = str(uuid4())
    assert person.pas("backfill", "send", "--file", write(person, *references), "--job-id", job).returncode == 0
    with person.terminal("jobs", "watch", job) as terminal:
        terminal.wait_for(r"open .*\d+/403 +\d+%")
        assert "━" in terminal.text
        terminal.press("\x03")
        terminal.wait_for("goes on without you")
        terminal.wait_for(f"pas jobs watch {job}")
        assert terminal.exit_code() == 130
    with person.terminal("jobs", "watch", job) as terminal:
        terminal.wait_for(r"a second")
        terminal.wait_for("succeeded in part: 400 archived; 3 failed")
        assert terminal.exit_code() == 3


def test_watched_across_a_restart_of_the_service(tmp_path: Path, source: Source) -> None:
    source.script(match="again-*", delay_ms=200)
    embedded = Embedded(tmp_path, source)
    references = [f"again-{number}" for number in range(600)]
    job = str(uuid4())
    arguments = [*embedded.arguments, "--port", str(free_ports(1))]
    with Service(arguments, lambda: embedded.token) as service:
        home = tmp_path / "home"
        home.mkdir()
        person = Person(home, {"PAS_URL": service.url, "PAS_TOKEN": embedded.token})
        assert person.pas("backfill", "send", "--file", write(person, *references), "--job-id", job).returncode == 0
        with person.terminal("jobs", "watch", job) as terminal:
            terminal.wait_for(r"open .*/600")
            service.kill()
            terminal.wait_for("Trying again …")
            terminal.forget()
            service.start()
            terminal.wait_for(r"open .*/600")
            terminal.wait_for("succeeded: 600 archived", 120)
            assert terminal.exit_code() == 0
