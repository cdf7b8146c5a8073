"""`pas serve --processes 2`: one address, one job for both, a killed one is started again, all end together."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.conftest import MakeArchive
from tests.servers.host import alive, children
from tests.servers.source import Source
from tests.support.archive import NOT_MIGRATED, Archive
from tests.support.archive_types import unversioned
from tests.support.effects import assert_all_succeeded, assert_one_effect_each
from tests.support.service import LISTENING, Service, pas

REFERENCES = [f"ref-{number}" for number in range(1500)]
MEMBER = re.compile(r"--member\0(\d+):2:\d+:\d+:\d+:([^\0]+)\0")


@contextmanager
def two(archive: Archive) -> Iterator[Service]:
    with archive.service("--migrate", "--processes", "2", forked=False) as service:
        service.wait("both are up", lambda: values(service, "pas_process_up") == {"1": 1, "2": 1})
        yield service


def values(service: Service, name: str, **labels: str) -> dict[str, float]:
    """Values of a metric by process, as whichever process answers tells them."""
    families = text_string_to_metric_families(httpx.get(f"{service.url}/metrics", timeout=10).text)
    return {
        sample.labels["process"]: sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    }


def members(service: Service) -> dict[int, int]:
    """Process ids by number."""
    return {int(found[1]): pid for pid in family(service) if (found := MEMBER.search(command_line(pid)))}


def family(service: Service) -> list[int]:
    assert service.process is not None
    return children(service.process.pid)


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def directory_of(service: Service) -> Path:
    found = MEMBER.search(command_line(members(service)[1]))
    assert found
    return Path(found[2])


def test_both_archive_one_that_is_killed_is_started_again_and_all_stop_together(
    make_archive: MakeArchive, source: Source
) -> None:
    source.script(delay_ms=40)
    archive, job_id = make_archive(make=NOT_MIGRATED), uuid4()
    with two(archive) as service:
        assert service.process is not None
        parent, directory, before = service.process.pid, directory_of(service), members(service)
        assert {os.getsid(pid) for pid in before.values()} == set(before.values()), "Ctrl-C reaches the parent alone"
        service.submit(job_id, unversioned(*REFERENCES))

        def done() -> dict[str, float]:
            return values(service, "pas_tasks_total", outcome="succeeded")

        service.wait("both archive", lambda: len(done()) == 2 and min(done().values()) > 20)
        os.kill(before[2], signal.SIGKILL)
        assert service.job(job_id)["state"] == "open"
        service.wait("one is missing", lambda: values(service, "pas_process_up") == {"1": 1, "2": 0})
        service.wait("both are up again", lambda: values(service, "pas_process_up") == {"1": 1, "2": 1})
        after = members(service)
        assert (after[1], after.keys()) == (before[1], before.keys())
        assert after[2] != before[2]
        assert_all_succeeded(service.wait_completed(job_id), REFERENCES)
        own = [each for each in service.logged() if each["logger"] == "app.process.parent"]
        (warning,) = [each["message"] for each in own if each["level"] == "WARNING"]
        assert warning == f"process 2 (pid {before[2]}) was ended by SIGKILL; it is started again in 1 s"
        assert {each.get("process") for each in service.logged()} == {None, 1, 2}
        for pid in (parent, *after.values()):  # systemd sends it to all; the parent sends it too
            os.kill(pid, signal.SIGTERM)
        assert service.exit_code() == 0
        assert not any(map(alive, (parent, *after.values())))
        assert not directory.exists()
        assert len(LISTENING.findall(service.log.read_text())) == 1
    assert_one_effect_each(archive, job_id, REFERENCES)


def test_a_parent_that_is_killed_leaves_nothing_behind(make_archive: MakeArchive) -> None:
    with two(make_archive()) as service:
        assert service.process is not None
        directory, left = directory_of(service), members(service)
        service.wait("both are listed", lambda: len(service.api("GET", "/api/system").json()["processes"]) == 2)
        os.kill(service.process.pid, signal.SIGKILL)
        service.exit_code()
        service.wait("both have ended", lambda: not any(map(alive, left.values())))
        assert not directory.exists()
        said = [each for each in service.logged() if each["message"] == "the parent process has gone: stopping"]
        assert {each["process"] for each in said} == {1, 2}
        assert "Traceback" not in service.log.read_text()


def test_a_start_that_is_refused_is_said_once(make_archive: MakeArchive) -> None:
    ended = pas("serve", "--port", "0", "--config", str(make_archive(make=NOT_MIGRATED).config), "--processes", "3")
    assert ended.returncode == 1
    assert len(re.findall(r"^pas: the database is older than this release: ", ended.stderr, re.MULTILINE)) == 1
    assert ended.stdout == ""
