"""Follows a job: snapshots from server-sent events; connects again whenever the connection breaks."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from httpx_sse import EventSource, SSEError

from app.cli.answers import Unlike, read_answer
from app.cli.client import Client, path_of
from app.cli.exchange import reached
from app.cli.exits import Answered, Ended, NoAnswer

SILENCE = 45.0
"""Seconds without a byte after which a connection is taken for dead: the service sends a comment every 15."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 10.0
"""Seconds before a connection is tried again; doubled each time."""

PATIENCE = 15 * 60.0
"""Seconds without a connection after which following ends: a release or a restart takes less."""

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses of a service, or a proxy before it, that may be gone in a moment."""


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """The connection is lost for now; `why` is one line."""

    why: str


def follow(
    client: Client, job: str, pause: Callable[[float], None] = time.sleep
) -> Iterator[dict[str, Any] | ConnectionLost]:
    """Snapshots of the job, the last one completed, and ConnectionLost whenever the connection is lost.

    Raises Ended where it cannot be followed at all: at the first try for any reason, later for what does not pass.
    """
    path, last, trouble, wait = path_of("api", "jobs", job), None, 0.0, FIRST_PAUSE
    while True:
        try:
            for snapshot in _snapshots(client, path, last):
                yield snapshot
                last, trouble, wait = snapshot, 0.0, FIRST_PAUSE
                if snapshot["state"] == "completed":
                    return
            why = "the service ended the connection"
        except NoAnswer as unreached:
            if last is None:
                raise
            why = unreached.lines[0]
        except Answered as answered:
            if last is None or answered.status not in PASSING:
                raise
            why = answered.lines[0]
        if trouble >= PATIENCE:
            raise Ended(f"{why} For {PATIENCE / 60:.0f} minutes nobody could say how job {job} is.")
        if wait > FIRST_PAUSE or not why.startswith("the service ended"):
            yield ConnectionLost(why)
        pause(wait)
        trouble, wait = trouble + wait, min(wait * 2, LONGEST_PAUSE)


def _snapshots(client: Client, path: str, last: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
    if last is not None:
        headers["Last-Event-ID"] = str(last["state"])
    timeout = httpx.Timeout(SILENCE, connect=10)
    with client.opened("GET", f"{path}/events", headers=headers, timeout=timeout) as response:
        if response.status_code == 204:  # the job has ended; an earlier event said so
            yield client.get(path)
            return
        with reached(client.url):
            try:
                for event in EventSource(response).iter_sse():
                    if event.data:
                        yield read_answer(event.data)
            except (SSEError, Unlike) as error:
                raise Ended(
                    f"What answers at {client.url} sends no events of a job.",
                    "Is the address right, with its context path?",
                ) from error
