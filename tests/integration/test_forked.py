"""A service that is forked for a test behaves as one that is started: signals, exit codes, settings, its end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.fetch import REPOSITORY
from tests.servers.host import alive
from tests.servers.source import Source
from tests.support.embedded import Embedded
from tests.support.forked import Forked
from tests.support.service import Service

BOTH = pytest.mark.parametrize("forked", [True, False], ids=["forked", "started"])


@pytest.fixture(scope="module")
def source() -> Iterator[Source]:
    with Source() as started:
        yield started


@pytest.fixture
def embedded(tmp_path: Path, source: Source) -> Embedded:
    return Embedded(tmp_path, source)


def service_of(embedded: Embedded, *, forked: bool, **environment: str) -> Service:
    return Service(embedded.arguments, lambda: embedded.token, environment, forked=forked)


@BOTH
def test_it_ends_with_0_when_asked_to_and_by_the_signal_when_killed(embedded: Embedded, forked: bool) -> None:
    with service_of(embedded, forked=forked) as service:
        assert isinstance(service.process, Forked if forked else subprocess.Popen)
        service.terminate()
        assert service.exit_code() == 0
        service.start().kill()
        assert service.exit_code() == -signal.SIGKILL
        assert service.start().api("GET", "/api/jobs").status_code == 200


@BOTH
def test_a_refused_start_is_a_line_and_exit_code_1(embedded: Embedded, forked: bool) -> None:
    embedded.config.write_text("jeap.processarchive.backfill.enabled: perhaps\n")
    service = service_of(embedded, forked=forked)
    try:
        with pytest.raises(Exception, match=r"pas: .*enabled"):
            service.start()
        assert service.exit_code() == 1
    finally:
        service.close()


@BOTH
def test_settings_of_its_environment_are_read(embedded: Embedded, forked: bool) -> None:
    with service_of(embedded, forked=forked, SERVER_SERVLET_CONTEXT_PATH="/archive") as service:
        assert isinstance(service.process, Forked if forked else subprocess.Popen)
        assert service.api("GET", "/archive/api/jobs").status_code == 200


def test_one_with_variables_of_libraries_is_started(embedded: Embedded) -> None:
    with service_of(embedded, forked=True, OTEL_SERVICE_NAME="archive") as service:
        assert isinstance(service.process, subprocess.Popen)


def test_the_forked_ones_die_with_the_killed_tests(embedded: Embedded) -> None:
    program = (
        "import sys, time; from tests.support.service import Service\n"
        "service = Service(sys.argv[1:], lambda: '').start(); print(service.process.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, *embedded.arguments]
    with subprocess.Popen(command, cwd=REPOSITORY, env={**os.environ}, stdout=subprocess.PIPE, text=True) as tests:
        assert tests.stdout is not None
        pid = int(tests.stdout.readline())
        assert alive(pid)
        tests.kill()
    deadline = time.monotonic() + 10
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(pid)
