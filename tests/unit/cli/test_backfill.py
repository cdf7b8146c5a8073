"""`pas backfill`: what is sent, and the texts that scripts of jeap-cli's users look for."""

import re
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import yaml
from typing_extensions import override

from app.api.submission.events import KEYS as KEYS_OF_THE_SERVICE
from app.cli.submission_file import KEYS
from tests.unit.cli.conftest import JOB, URL, Done, Fake, accepted, problem, report

PATH = f"/api/jobs/{JOB}"
HEAD = "message: M # a comment\ntopic: 't'\nconfig-id: 0123\nnum-of-retry: 2\n"
WITH = HEAD + "archiveDataReferences:\n- id: 0123\n  version: 1\n- {id: NO, version: 2}\n"
MISTAKES = [{"path": "archiveDataReferences[1].id", "line": 9, "message": "is too long"}]


def send(fake: Fake, tmp_path: Path, text: str | bytes, *words: str, csv: str | None = None) -> Done:
    path = tmp_path / "job.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    if csv is not None:
        (tmp_path / "r.csv").write_text(csv)
        words = ("--references-csv", str(tmp_path / "r.csv"), *words)
    return fake.run("backfill", "send", "--file", str(path), "--job-id", JOB, *words)


@pytest.mark.parametrize("status", [200, 201])
def test_a_file_is_sent_as_it_is(status: int, fake: Fake, tmp_path: Path) -> None:
    fake.says("PUT", PATH, accepted(status))
    done = send(fake, tmp_path, WITH)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"Backfill job {JOB} created successfully. 2 references submitted.\n"
    [request] = fake.requests
    assert request.content == WITH.encode()
    assert request.headers["content-type"] == "application/yaml"
    assert request.headers["authorization"] == "Bearer a-token"


def test_without_an_id_it_is_a_random_uuid(fake: Fake, tmp_path: Path) -> None:
    (tmp_path / "job.yml").write_text(WITH)
    for _ in range(2):
        fake.run("backfill", "send", "--file", str(tmp_path / "job.yml"))
    ids = {str(request.url).rpartition("/")[2] for request in fake.requests}
    assert len(ids) == 2
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", id_) for id_ in ids)


def test_a_file_with_a_colon_in_a_plain_value_within_brackets_is_sent_as_it_is(fake: Fake, tmp_path: Path) -> None:
    text = HEAD + "archiveDataReferences: [{id: urn:a:b}, {id: a?b}]\n"
    fake.says("PUT", PATH, accepted())
    done = send(fake, tmp_path, text)
    assert done.out == f"Backfill job {JOB} created successfully. 2 references submitted.\n"
    assert fake.requests[0].content == text.encode()
    assert send(fake, tmp_path, HEAD + "archiveDataReferences: [{id: urn:a:}]\n").code == 1


def test_references_of_a_csv_file_are_put_into_the_body(fake: Fake, tmp_path: Path) -> None:
    fake.says("PUT", PATH, accepted())
    done = send(fake, tmp_path, HEAD, csv='id,version\n0123,1\n"a: ""b"" 😀\u2028\x85.",2\n')
    assert done.code == 0
    body = yaml.load(fake.requests[0].content, yaml.BaseLoader)
    assert body == {
        "message": "M",
        "topic": "t",
        "config-id": "0123",
        "num-of-retry": "2",
        "archiveDataReferences": [
            {"id": "0123", "version": "1"},
            {"id": 'a: "b" 😀\u2028\x85.', "version": "2"},
        ],
    }
    assert send(fake, tmp_path, HEAD, csv="id\na\n").code == 0
    assert yaml.safe_load(fake.requests[1].content)["archiveDataReferences"] == [{"id": "a"}]


@pytest.mark.parametrize("text", [HEAD, HEAD + "archiveDataReferences:\n", HEAD + "archiveDataReferences: []\n"])
def test_without_references_nothing_is_sent(text: str, fake: Fake, tmp_path: Path) -> None:
    done = send(fake, tmp_path, text)
    assert (done.code, fake.requests) == (1, [])
    assert done.err.splitlines()[0] == (
        "Error: No archiveDataReferences provided. Define them in the YAML file or use --references-csv."
    )


@pytest.mark.parametrize("csv", ["id,version\n", "id\n# nothing\n"])
def test_a_csv_file_without_rows_has_no_references(csv: str, fake: Fake, tmp_path: Path) -> None:
    assert "No archiveDataReferences provided" in send(fake, tmp_path, HEAD, csv=csv).err


def test_references_in_both_files_are_refused(fake: Fake, tmp_path: Path) -> None:
    done = send(fake, tmp_path, WITH, csv="id,version\na,1\n")
    assert (done.code, fake.requests) == (1, [])
    assert done.err == (
        "Error: archiveDataReferences defined in both YAML and --references-csv. Use one source only.\n"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "Could not parse file"),
        ("a: b: c", "Could not parse file"),
        ("", "Could not parse file"),
        ("- a", "must be a mapping (line 1)"),
        (b"\xff\xfe\xff", "Could not parse file"),
        ("message: a\nmessage: b", "message is there twice (line 2)"),
        (HEAD + "archiveDataReferences: a", "must be a list (line 5)"),
        (HEAD + "other: a", "unknown key 'other'; there are message, topic, "),
        ("message: &a x\ntopic: *a", "anchors and aliases"),
        ("num-of-retry: x", "Invalid YAML value 'x' for num-of-retry. Must be an integer."),
        (
            HEAD + "archiveDataReferences: [{id: a, version: x}]",
            "Invalid YAML value 'x' for archiveDataReferences[].version. Must be an integer.",
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_not_sent(text: str | bytes, said: str, fake: Fake, tmp_path: Path) -> None:
    done = send(fake, tmp_path, text)
    assert (done.code, done.out, fake.requests) == (1, "", [])
    assert said in done.err


def test_what_is_wrong_with_a_reference_is_for_the_service_to_say(fake: Fake, tmp_path: Path) -> None:
    text = HEAD + "archiveDataReferences: [a, [b, {c: d}], {id: {e: [f]}, x: y}, null, {[g]: h}]\n"
    fake.says("PUT", PATH, problem(400, detail="The submission has mistakes.", errors=MISTAKES))
    done = send(fake, tmp_path, text)
    assert len(fake.requests) == 1
    assert (done.code, done.err.splitlines()[1]) == (1, "  archiveDataReferences[1].id (line 9): is too long")


def test_a_pair_of_surrogate_escapes_is_its_character(fake: Fake, tmp_path: Path) -> None:
    pair = r'"PSF-\ud83d\ude00"'
    fake.says("PUT", PATH, accepted())
    text = HEAD + f"archiveDataReferences:\n- id: {pair}\n"
    assert send(fake, tmp_path, text).code == 0
    assert fake.requests[-1].content == text.encode()
    assert send(fake, tmp_path, f"message: {pair}\ntopic: '{pair}'\n", csv="id\na\n").code == 0
    body = yaml.safe_load(fake.requests[-1].content)
    assert (body["message"], body["topic"]) == ("PSF-😀", pair)


def test_half_a_pair_is_not_sent(fake: Fake, tmp_path: Path) -> None:
    done = send(fake, tmp_path, HEAD + 'archiveDataReferences:\n- id: "\\ud83d"\n')
    assert (done.code, fake.requests) == (1, [])
    assert "Could not parse file" in done.err


def test_a_file_that_is_not_there_is_said(fake: Fake) -> None:
    done = fake.run("backfill", "send", "--file", "nope.yml")
    assert (done.code, done.err) == (1, "File not found: nope.yml\n")


def test_mistakes_of_references_have_the_line_of_the_csv_file(fake: Fake, tmp_path: Path) -> None:
    errors = [*MISTAKES, {"path": "topic", "line": 2, "message": "is wrong"}]
    fake.says("PUT", PATH, problem(400, detail="The submission has mistakes.", errors=errors))
    done = send(fake, tmp_path, HEAD, csv="id\na\n\n# c\nb\n")
    assert done.err.splitlines()[1:] == [
        "  archiveDataReferences[1].id (line 5): is too long",
        "  topic: is wrong",
        f"Lines of references are those of {tmp_path / 'r.csv'}.",
    ]


@pytest.mark.parametrize(
    ("answer", "first"),
    [
        (problem(409, detail="It differs."), f"Job {JOB} already exists."),
        (problem(404), "PAS request failed with HTTP status 404"),
        (problem(500, detail="Unexpected"), "PAS request failed with HTTP status 500"),
        (problem(413), "PAS request failed with HTTP status 413"),
        (problem(401, detail="The token has expired."), "Error: The token has expired. (HTTP 401)"),
    ],
)
def test_answers_that_are_no_success(answer: httpx.Response, first: str, fake: Fake, tmp_path: Path) -> None:
    fake.says("PUT", PATH, answer)
    done = send(fake, tmp_path, WITH)
    assert (done.code, done.out, done.err.splitlines()[0]) == (1, "", first)


LOGIN_PAGE = httpx.Response(200, html="<h1>Login</h1>")


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (LOGIN_PAGE, "200, text/html"),
        (httpx.Response(204), "204, no content type"),
        (httpx.Response(200, json={}), "200, application/json"),
        (httpx.Response(200, headers={"Location": "/login"}), "200, no content type"),
        (httpx.Response(200, headers={"Location": f"/archive/api/jobs/{uuid4()}/report"}), "200, no content type"),
    ],
)
def test_what_does_not_name_the_report_of_the_job_is_not_the_service(
    answer: httpx.Response, what: str, fake: Fake, tmp_path: Path
) -> None:
    fake.says("PUT", PATH, answer)
    done = send(fake, tmp_path, WITH, "--wait")
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines()[0] == f"What answers at {URL} is not the service ({what})."


@pytest.mark.parametrize("status", [200, 201])
def test_the_service_in_java_accepts_with_nothing(status: int, fake: Fake, tmp_path: Path) -> None:
    fake.says("PUT", PATH, httpx.Response(status))
    assert send(fake, tmp_path, WITH).code == 0


@pytest.mark.parametrize(
    "location", [f"{URL}{PATH}/report", f"{PATH}/report", f"https://inner:8080/other{PATH}/report"]
)
def test_a_proxy_may_rewrite_the_address_of_the_report(location: str, fake: Fake, tmp_path: Path) -> None:
    fake.says("PUT", PATH, httpx.Response(200, headers={"Location": location}))
    assert send(fake, tmp_path, WITH).code == 0


def test_the_id_of_the_job_may_be_in_upper_case(fake: Fake, tmp_path: Path) -> None:
    fake.says("PUT", f"/api/jobs/{JOB.upper()}", accepted())
    (tmp_path / "job.yml").write_text(WITH)
    assert fake.run("backfill", "send", "--file", str(tmp_path / "job.yml"), "--job-id", JOB.upper()).code == 0


@pytest.mark.parametrize("answer", [LOGIN_PAGE, httpx.Response(200), httpx.Response(204), httpx.Response(200, json=[])])
def test_what_is_not_yaml_is_no_report(answer: httpx.Response, fake: Fake, tmp_path: Path) -> None:
    fake.says("GET", f"{PATH}/report", answer)
    target = tmp_path / "report.yml"
    target.write_text("before")
    done = fake.run("backfill", "report", "--job-id", JOB, "--output", str(target))
    assert (done.code, done.out, target.read_text()) == (1, "", "before")
    assert done.err.startswith(f"What answers at {URL} is not the service (")
    assert fake.run("backfill", "report", "--job-id", JOB).out == ""


@pytest.mark.parametrize("answer", [httpx.ReadTimeout("slow"), problem(503, detail="The database is away.")])
def test_what_perhaps_arrived_can_be_sent_again_under_its_id(
    answer: httpx.Response | Exception, fake: Fake, tmp_path: Path
) -> None:
    def answered(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    for method, path in (("PUT", PATH), ("POST", f"{PATH}/retry")):
        fake.says(method, path, answered)
    assert f"The same again is harmless: --job-id {JOB}" in send(fake, tmp_path, WITH).err
    if isinstance(answer, Exception):
        retried = fake.run("jobs", "retry", JOB)
        assert f"The same again is harmless: --job-id {fake.sent()['jobId']}" in retried.err


def test_the_report_is_written_byte_by_byte(fake: Fake, tmp_path: Path) -> None:
    fake.says("GET", f"{PATH}/report", report(b"message: M\r\n\xc3\xa4"))
    target = tmp_path / "report.yml"
    target.write_text("before")
    done = fake.run("backfill", "report", "--job-id", JOB, "--output", str(target))
    assert (done.code, done.out, done.err) == (0, f"Report written to {target}\n", "")
    assert target.read_bytes() == b"message: M\r\n\xc3\xa4"
    assert fake.run("backfill", "report", "--job-id", JOB).out == "message: M\r\nä"
    assert dict(fake.requests[-1].url.params) == {}
    fake.run("backfill", "report", "--job-id", JOB, "--merged")
    assert dict(fake.requests[-1].url.params) == {"merged": "true"}


def test_a_report_that_breaks_off_leaves_the_file_as_it_was(fake: Fake, tmp_path: Path) -> None:
    class Broken(httpx.SyncByteStream):
        @override
        def __iter__(self):  # type: ignore[no-untyped-def]
            yield b"message: "
            raise httpx.RemoteProtocolError("cut")

    fake.says("GET", f"{PATH}/report", report(Broken()))
    target = tmp_path / "report.yml"
    target.write_text("before")
    done = fake.run("backfill", "report", "--job-id", JOB, "--output", str(target))
    assert done.code == 1
    assert target.read_text() == "before"
    assert list(tmp_path.glob(".report*")) == []


def test_a_job_that_is_not_there(fake: Fake) -> None:
    fake.says("GET", f"{PATH}/report", problem(404, detail="There is no job."))
    done = fake.run("backfill", "report", "--job-id", JOB)
    assert (done.code, done.err) == (1, f"Job {JOB} not found.\n")


def test_a_place_that_cannot_be_written_is_said(fake: Fake, tmp_path: Path) -> None:
    fake.says("GET", f"{PATH}/report", report(b"x"))
    done = fake.run("backfill", "report", "--job-id", JOB, "--output", str(tmp_path / "no" / "report.yml"))
    assert done.code == 1
    assert "cannot be written: No such file or directory" in done.err


def test_wait_follows_the_job_to_its_end(fake: Fake, tmp_path: Path) -> None:
    from tests.unit.cli.conftest import job
    from tests.unit.cli.test_follow import events

    fake.says("PUT", PATH, accepted())
    fake.says("GET", f"{PATH}/events", events(job()))
    done = send(fake, tmp_path, WITH, "--wait")
    assert (done.code, len(done.out.splitlines())) == (3, 2)


def test_the_keys_are_those_that_the_service_reads() -> None:
    assert set(KEYS_OF_THE_SERVICE) <= set(KEYS)
