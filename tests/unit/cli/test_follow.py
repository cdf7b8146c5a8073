"""A job that is followed: events, broken connections, and when nobody waits any longer."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from app.cli import follow as following
from app.cli.client import Client
from app.cli.exits import Ended
from app.cli.follow import ConnectionLost, follow
from app.cli.tokens import GivenToken
from tests.unit.cli.conftest import JOB, URL, Fake, job, problem

EVENTS = f"/api/jobs/{JOB}/events"
OPEN = job(state="open", result=None, counts={"open": 3, "succeeded": 0, "failed": 0})


@pytest.fixture
def client(fake: Fake) -> Iterator[Client]:
    with Client(URL, GivenToken("a-token", "a test")) as opened:
        yield opened


def events(*jobs: dict[str, Any], comment: str = "") -> httpx.Response:
    text = comment + "".join(f"id: {each['state']}\ndata: {json.dumps(each)}\n\n" for each in jobs)
    return httpx.Response(200, text=text, headers={"Content-Type": "text/event-stream"})


def in_turn(*answers: httpx.Response | Exception) -> Callable[[httpx.Request], httpx.Response]:
    left = iter(answers)

    def answer(_request: httpx.Request) -> httpx.Response:
        following = next(left)
        if isinstance(following, Exception):
            raise following
        return following

    return answer


def test_it_ends_with_the_job(fake: Fake, client: Client) -> None:
    fake.says("GET", EVENTS, events(OPEN, job(), comment=": still here\n\n"))
    assert list(follow(client, JOB)) == [OPEN, job()]


def test_a_broken_connection_is_taken_up_again_and_what_is_known_is_said(fake: Fake, client: Client) -> None:
    refused = httpx.ConnectError("Connection refused")
    fake.says("GET", EVENTS, in_turn(events(OPEN), refused, problem(503), events(job())))
    pauses: list[float] = []
    seen = list(follow(client, JOB, pauses.append))
    assert [isinstance(each, ConnectionLost) for each in seen] == [False, True, True, False]
    assert isinstance(seen[1], ConnectionLost)
    assert "Connection refused" in seen[1].why
    assert pauses == [1, 2, 4]
    assert fake.requests[-1].headers["last-event-id"] == "open"


def test_what_ended_while_nobody_looked_is_looked_at_once(fake: Fake, client: Client) -> None:
    fake.says("GET", EVENTS, in_turn(events(OPEN), httpx.Response(204)))
    fake.says("GET", f"/api/jobs/{JOB}", job())
    assert list(follow(client, JOB, lambda _: None)) == [OPEN, job()]


@pytest.mark.parametrize("answer", [httpx.ConnectError("refused"), problem(503), problem(404), events()])
def test_what_was_never_there_is_not_waited_for(answer: httpx.Response | Exception, fake: Fake, client: Client) -> None:
    fake.says("GET", EVENTS, in_turn(answer, events(job())))
    if isinstance(answer, httpx.Response) and answer.status_code == 200:
        assert list(follow(client, JOB, lambda _: None)) == [job()]  # an answer without news is no refusal
        return
    with pytest.raises(Ended):
        list(follow(client, JOB, lambda _: None))


def test_a_job_that_vanishes_is_not_waited_for(fake: Fake, client: Client) -> None:
    fake.says("GET", EVENTS, in_turn(events(OPEN), problem(404, detail="There is no job.")))
    with pytest.raises(Ended, match="There is no job"):
        list(follow(client, JOB, lambda _: None))


def test_a_service_that_stays_away_is_not_waited_for_for_ever(fake: Fake, client: Client) -> None:
    refused = [httpx.ConnectError("refused")] * 1000
    fake.says("GET", EVENTS, in_turn(events(OPEN), *refused))
    pauses: list[float] = []
    with pytest.raises(Ended, match="15 minutes"):
        list(follow(client, JOB, pauses.append))
    assert following.PATIENCE <= sum(pauses) < following.PATIENCE + following.LONGEST_PAUSE


def test_what_sends_no_events_is_not_the_service(fake: Fake, client: Client) -> None:
    fake.says("GET", EVENTS, httpx.Response(200, text="<html>", headers={"Content-Type": "text/html"}))
    with pytest.raises(Ended, match="sends no events"):
        list(follow(client, JOB))


def test_watch_ends_with_3_where_references_failed_and_says_why(fake: Fake) -> None:
    fake.says("GET", EVENTS, events(OPEN, job()))
    causes = [{"cause": "HTTP 404", "count": 1, "examples": []}]
    fake.says("GET", f"/api/jobs/{JOB}/failures", {"failed": 1, "causes": causes, "others": 0})
    done = fake.run("jobs", "watch", JOB)
    assert done.code == 3
    assert done.out == f"Job {JOB} succeeded in part: 2 archived; 1 failed: 1 × HTTP 404.\n"
    assert f"pas jobs failures {JOB}" in done.err


def test_watch_ends_with_0_where_none_failed(fake: Fake) -> None:
    ended = job(result="succeeded", counts={"succeeded": 3, "failed": 0})
    fake.says("GET", EVENTS, events(OPEN, ended))
    done = fake.run("jobs", "watch", JOB)
    assert (done.code, done.out) == (0, f"Job {JOB} succeeded: 3 archived.\n")
    assert done.err.startswith("open 0/3 (0%)")
    assert json.loads(fake.run("jobs", "watch", JOB, "--output", "json").out) == ended


def test_a_job_that_was_cancelled_is_said_to_be(fake: Fake) -> None:
    fake.says("GET", EVENTS, events(job(result="failed", cancelledBy="Dora", cancelledAt="2026-05-08T07:30:15Z")))
    assert "was cancelled by Dora" in fake.run("jobs", "watch", JOB).out


def test_ctrl_c_leaves_the_job_running_and_says_how_to_go_on(fake: Fake) -> None:
    def interrupt(_request: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    fake.says("GET", EVENTS, interrupt)
    done = fake.run("jobs", "watch", JOB, "--url", URL)
    assert (done.code, done.out) == (130, "")
    assert f"Job {JOB} goes on without you." in done.err
    assert f"pas jobs watch {JOB} --url {URL}" in done.err
    assert [request.method for request in fake.requests] == ["GET"]
