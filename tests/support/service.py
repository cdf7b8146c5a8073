"""The service as a user starts it: `pas serve` in a process of its own, spoken to over HTTP."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import httpx
import yaml
from typing_extensions import override

from tests.servers.client import CLIENT
from tests.servers.fetch import REPOSITORY
from tests.servers.process import NotReady, Running, ServerProcess
from tests.support.archive_types import OSV, YAML_TYPE, Message, Reference, submission
from tests.support.forked import fork

LISTENING = re.compile(r"^listening on (http://\S+)$", re.MULTILINE)


class Service(ServerProcess):
    """`start` waits until `/health/ready` is 200, `start_listening` only for the line that names the address."""

    name = "pas"
    start_timeout = 60

    def __init__(
        self,
        arguments: Iterable[str],
        token: Callable[[], str],
        environment: Mapping[str, str] | None = None,
        *,
        forked: bool = True,
        constants: Mapping[str, float] | None = None,
    ) -> None:
        """`token` gives a bearer token that may read and write; not `forked`: it is started as users start it.

        `constants` are shorter waits of a forked one, by `module:name`; one that is started waits as long as it does.
        """
        super().__init__()
        self.url = ""
        self._arguments = list(arguments)
        self._environment = dict(environment or {})
        self._token = token
        self._forked = forked
        self._constants = dict(constants or {})
        self._log_from = 0
        self._until_ready = True

    def start_listening(self) -> Self:
        self._until_ready = False
        try:
            return self.start()
        finally:
            self._until_ready = True

    def api(self, method: str, path: str, *, token: str | None = None, **arguments: Any) -> httpx.Response:
        """One request with a token that may do everything, unless another is given."""
        headers = {"Authorization": f"Bearer {token or self._token()}", **arguments.pop("headers", {})}
        return CLIENT.request(method, f"{self.url}{path}", headers=headers, timeout=60, **arguments)

    def token(self) -> str:
        """A bearer token that may do everything."""
        return self._token()

    def put(self, job_id: UUID, body: bytes) -> httpx.Response:
        return self.api("PUT", f"/api/jobs/{job_id}", content=body, headers=YAML_TYPE)

    def submit(self, job_id: UUID, references: Iterable[Reference], message: Message = OSV, **more: Any) -> None:
        """Submits a job, which must be accepted; `more` are further keys of the body (`num_of_retry`)."""
        answer = self.put(job_id, submission(message, references, **more))
        assert answer.status_code == 200, answer.text
        assert answer.content == b""
        assert answer.headers["Location"] == f"/api/jobs/{job_id}/report"

    def report_text(self, job_id: UUID) -> str:
        answer = self.api("GET", f"/api/jobs/{job_id}/report")
        assert answer.status_code == 200, answer.text
        return answer.text

    def report(self, job_id: UUID) -> dict[str, Any]:
        """The report; every scalar is a text, as it stands there."""
        return dict(yaml.load(self.report_text(job_id), yaml.BaseLoader))

    def job(self, job_id: UUID) -> dict[str, Any]:
        answer = self.api("GET", f"/api/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def redrive(self, job_id: UUID) -> dict[str, Any]:
        answer = self.api("POST", f"/api/jobs/{job_id}/redrive")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def ready(self) -> tuple[int, dict[str, Any]]:
        """Status and body of `/health/ready`."""
        answer = CLIENT.get(f"{self.url}/health/ready", timeout=5)
        return answer.status_code, answer.json()

    def wait(self, what: str, is_so: Callable[[], bool], seconds: float = 60) -> None:
        """Returns once `is_so()`; fails with the end of the log."""
        end = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds} s: {what}\n{self.log_tail()}")
            time.sleep(0.05)

    def wait_completed(self, job_id: UUID, seconds: float = 90) -> dict[str, Any]:
        """The report of the completed job."""
        self.wait(f"job {job_id} completed", lambda: self.job(job_id)["state"] == "completed", seconds)
        return self.report(job_id)

    def wait_counts(self, job_id: UUID, seconds: float = 60, **counts: int) -> dict[str, Any]:
        """Waits until the counts of the job are these; the job then."""
        self.wait(
            f"{counts} of job {job_id}, last {self.job(job_id)['counts']}",
            lambda: counts.items() <= self.job(job_id)["counts"].items(),
            seconds,
        )
        return self.job(job_id)

    def wait_done(self, job_id: UUID, number: int, seconds: float = 60) -> None:
        """Waits until at least so many references have an outcome."""

        def done() -> int:
            counts = self.job(job_id)["counts"]
            return int(counts["succeeded"] + counts["failed"])

        self.wait(f"{number} references of job {job_id} done", lambda: done() >= number, seconds)

    def problem(self, component: str) -> str:
        """What `/health/ready` says about a component; empty where it is well."""
        return str(self.ready()[1]["problems"].get(component, ""))

    def terminate(self) -> None:
        """Sends SIGTERM and returns at once."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def exit_code(self, timeout: float = 40) -> int:
        assert self.process is not None
        return self.process.wait(timeout)

    def logged(self) -> list[dict[str, Any]]:
        """The log lines since the last start."""
        return [json.loads(line) for line in self._output().splitlines() if line.startswith("{")]

    @override
    def prepare(self, data: Path) -> None:
        pass  # nothing: the directory is only where it runs

    @override
    def command(self) -> list[str]:
        self._log_from = self.log.stat().st_size if self.log.exists() else 0
        return [sys.executable, "-m", "app", "serve", "--port", "0", *self._arguments]

    @override
    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(REPOSITORY), **self._environment}

    @override
    def check(self) -> None:
        listening = LISTENING.search(self._output())
        if listening is None:
            raise NotReady("not listening yet")
        self.url = listening[1]
        if self._until_ready:
            status, body = self.ready()
            if status != 200:
                raise NotReady(str(body))

    @override
    def _spawn(self) -> Running:
        if self._forked and self.data is not None:
            _, _, _, *arguments = self.command()
            with self.log.open("ab") as log:
                forked = fork(arguments, self.data, log, {**os.environ, **self.environment()}, self._constants)
            if forked is not None:
                return forked
        return super()._spawn()

    def _output(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._log_from)
            return log.read().decode()


def pas(
    *arguments: str, environment: Mapping[str, str] | None = None, timeout: float = 60
) -> "subprocess.CompletedProcess[str]":
    """Runs a command of the command line to its end."""
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
