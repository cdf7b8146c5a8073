"""What a client meets at the HTTP edge of a real embedded service beside the answers of the endpoints."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from tests.support.archive_types import YAML_TYPE
from tests.support.service import Service, pas

JOB = "/api/jobs/0f3c8d1e-6b7a-4c52-9e1f-2a4b6c8d0e1f"
OSV_JOB = b"message: OsvRecordPublishedEvent\ntopic: psf-osv-record-published\narchiveDataReferences: [{id: a}]\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with embedded(tmp_path_factory.mktemp("edge")) as service:
        yield service


def embedded(data_dir: Path, **environment: str) -> Service:
    return Service(
        ["--embedded", "--data-dir", str(data_dir)],
        cache(lambda: pas("dev-token", "--data-dir", str(data_dir)).stdout.strip()),
        {"PAS_LOG_FORMAT": "json", **environment},
    )


def connect(service: Service) -> socket.socket:
    address = urlsplit(service.url)
    connection = socket.create_connection((address.hostname, address.port), timeout=10)
    connection.settimeout(10)
    return connection


def received(connection: socket.socket) -> tuple[int, dict[str, object]]:
    """Status and problem of the first answer; the server closes the connection behind it."""
    answer = b""
    while data := connection.recv(65536):
        answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    assert b"connection: close" in head
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", JOB, "GET, HEAD, PUT"),
        ("OPTIONS", f"{JOB}/report", "GET, HEAD"),
        ("GET", f"{JOB}/redrive", "POST"),
        ("POST", "/openapi.json", "GET, HEAD"),
    ],
)
def test_a_method_that_is_not_there_is_answered_with_all_that_are(
    service: Service, method: str, path: str, allowed: str
) -> None:
    answer = httpx.request(method, service.url + path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_slash_too_many_is_an_address_that_is_not_there(service: Service) -> None:
    answer = httpx.get(f"{service.url}{JOB}/")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")


def test_what_is_no_http_is_a_problem_too(service: Service) -> None:
    with connect(service) as connection:
        connection.sendall(b"hello\r\n\r\n")
        status, problem = received(connection)
    assert (status, problem["title"]) == (400, "Bad Request")


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"GET / HTTP/1.1\r\nX: ", b"a" * 60_000),
        (b"GET /", b"a" * 60_000),
        (b"GET / HTTP/1.1\r\n", b"X: y\r\n" * 10_000),
    ],
    ids=["one header", "the address", "many headers"],
)
def test_headers_without_end_are_refused(service: Service, begin: bytes, more: bytes) -> None:
    with connect(service) as connection:
        connection.sendall(begin)
        connection.sendall(more)
        connection.sendall(b"a" * 10_000)
        status, problem = received(connection)
    assert (status, problem["status"]) == (431, 431)
    assert httpx.get(f"{service.url}/health/live").status_code == 200


def request_head(service: Service, method: str, path: str, *lines: str) -> bytes:
    """With a token that may do everything."""
    head = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {service.token()}", *lines]
    return "\r\n".join([*head, "", ""]).encode()


def test_a_long_body_is_no_long_header(service: Service) -> None:
    head = request_head(service, "PUT", JOB, "Content-Type: application/yaml", "Content-Length: 1000000")
    with connect(service) as connection:
        connection.sendall(head)
        for _ in range(20):
            connection.sendall(b"a" * 50_000)
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while data := connection.recv(65536):
            answer += data
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"HTTP/1.1 200 OK" in answer


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics", "/openapi.json"])
def test_head_is_answered_as_get_without_its_body(service: Service, path: str) -> None:
    asked, got = httpx.head(service.url + path), httpx.get(service.url + path)
    assert (asked.status_code, asked.content) == (200, b"")
    assert asked.headers["Content-Type"] == got.headers["Content-Type"]


def test_head_of_a_report_needs_the_role_and_finds_the_job(service: Service) -> None:
    assert httpx.head(f"{service.url}{JOB}/report").status_code == 401
    assert service.api("HEAD", f"{JOB}/report").status_code == 404
    job = f"/api/jobs/{uuid4()}"
    assert service.api("PUT", job, content=OSV_JOB, headers=YAML_TYPE).status_code == 200
    answer = service.api("HEAD", f"{job}/report")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Type"] == "application/yaml"


def test_times_have_milliseconds(service: Service) -> None:
    job = f"/api/jobs/{uuid4()}"
    assert service.api("PUT", job, content=OSV_JOB, headers=YAML_TYPE).status_code == 200
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", service.api("GET", job).json()["started"])


def test_mistakes_of_body_and_configuration_come_in_the_order_of_the_lines(service: Service) -> None:
    body = b"message: OsvRecordPublishedEvent\ntopic: other\narchiveDataReferences:\n" + b"- id: x\n  version: a\n" * 25
    errors = service.api("PUT", JOB, content=body, headers=YAML_TYPE).json()["errors"]
    assert len(errors) == 21
    assert errors[0]["path"] == "topic"
    lines = [error["line"] for error in errors[:-1]]
    assert lines == sorted(lines)
    assert errors[-1] == {"path": "", "message": "there are more mistakes; the first 20 are listed"}


def sent_until_closed(connection: socket.socket, size: int) -> int:
    """Bytes that could be sent, of `size`."""
    sent = 0
    with suppress(OSError):
        while sent < size:
            sent += connection.send(b"a" * 65536)
    return sent


@pytest.mark.parametrize(
    ("method", "path", "lines", "status"),
    [
        ("PUT", JOB, ["Content-Type: application/yaml"], 401),
        ("PUT", JOB, ["Content-Type: text/plain"], 415),
        ("PUT", "/nowhere", [], 404),
        ("GET", JOB, [], 404),
        ("PUT", JOB, ["Content-Type: application/yaml", "Expect: 100-continue"], 401),
    ],
)
def test_an_answer_that_needs_no_body_ends_the_connection_instead_of_reading_it(
    service: Service, method: str, path: str, lines: list[str], status: int
) -> None:
    with connect(service) as connection:
        head = request_head(service, method, path, "Content-Length: 60000000", *lines)
        connection.sendall(head if status != 401 else head.replace(b"Bearer ", b"Bearer x"))
        found, problem = received(connection)
        assert (found, problem["status"]) == (status, status)
        assert sent_until_closed(connection, 60_000_000) < 30_000_000  # buffers, and 1 MiB that is read over


def test_an_upload_that_hangs_is_told_to_come_again_when_the_service_stops(tmp_path: Path) -> None:
    lines = ["Content-Type: application/yaml", "Content-Length: 1000", "Expect: 100-continue"]
    with embedded(tmp_path) as service:
        head = request_head(service, "PUT", JOB, *lines)
        with connect(service) as connection:
            connection.sendall(head)
            assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
            connection.sendall(b"message: ")
            service.terminate()
            status, problem = received(connection)
            assert (status, problem["status"]) == (503, 503)
            assert service.exit_code(timeout=10) == 0
            assert not [line for line in service.logged() if "exception" in line or line["level"] == "ERROR"]


def test_a_port_that_is_taken_is_said_in_one_line_and_nothing_was_opened(service: Service, tmp_path: Path) -> None:
    port = urlsplit(service.url).port
    refused = pas("serve", "--embedded", "--data-dir", str(tmp_path), "--port", str(port))
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1] == f"pas: cannot listen on 127.0.0.1 port {port}: Address already in use"
    assert not (tmp_path / "pas.sqlite").exists()


def test_a_data_directory_that_is_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    refused = pas("serve", "--embedded", "--data-dir", str(file), "--port", "0")
    assert refused.returncode == 1
    assert refused.stderr.strip() == f"pas: the data directory {file} cannot be used: File exists"


def test_locations_have_the_context_path(tmp_path: Path) -> None:
    with embedded(tmp_path, SERVER_SERVLET_CONTEXT_PATH="/pas") as service:
        answer = service.api("PUT", f"/pas{JOB}", content=OSV_JOB, headers=YAML_TYPE)
        assert (answer.status_code, answer.headers["Location"]) == (200, f"/pas{JOB}/report")
        assert httpx.get(f"{service.url}/pas/openapi.json").json()["servers"] == [{"url": "/pas"}]
        assert not [line for line in service.logged() if line["logger"] == "py.warnings"]
