"""What a client meets at the HTTP edge of a real embedded service beside the answers of the endpoints."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from tests.support.service import Service, pas

JOB = f"/api/jobs/{uuid4()}"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with embedded(tmp_path_factory.mktemp("edge")) as service:
        yield service


def embedded(data_dir: Path, **environment: str) -> Service:
    return Service(
        ["--embedded", "--data-dir", str(data_dir)],
        lambda: pas("dev-token", "--data-dir", str(data_dir)).stdout.strip(),
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
        ("DELETE", JOB, "GET, PUT"),
        ("OPTIONS", f"{JOB}/report", "GET"),
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


def test_a_long_body_is_no_long_header(service: Service) -> None:
    with connect(service) as connection:
        connection.sendall(b"PUT /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        for _ in range(20):
            connection.sendall(b"a" * 50_000)
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while data := connection.recv(65536):
            answer += data
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"HTTP/1.1 200 OK" in answer


def test_an_upload_that_hangs_is_told_to_come_again_when_the_service_stops(tmp_path: Path) -> None:
    with embedded(tmp_path) as service, connect(service) as connection:
        token = pas("dev-token", "--data-dir", str(tmp_path)).stdout.strip()
        head = (
            f"PUT {JOB} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/yaml\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n"
        )
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"message: ")
        service.terminate()
        status, problem = received(connection)
        assert (status, problem["status"]) == (503, 503)
        assert service.exit_code(timeout=10) == 0
        assert not [line for line in service.logged() if "exception" in line]


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
        body = b"message: OsvRecordPublishedEvent\ntopic: psf-osv-record-published\narchiveDataReferences: [{id: a}]\n"
        answer = service.api("PUT", f"/pas{JOB}", content=body, headers={"Content-Type": "application/yaml"})
        assert (answer.status_code, answer.headers["Location"]) == (200, f"/pas{JOB}/report")
        assert httpx.get(f"{service.url}/pas/openapi.json").json()["servers"] == [{"url": "/pas"}]
        assert not [line for line in service.logged() if line["logger"] == "py.warnings"]
