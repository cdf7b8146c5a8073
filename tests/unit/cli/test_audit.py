"""`pas audit list`: filters and what is shown."""

import json
from typing import Any

from tests.unit.cli.conftest import Fake

ENTRY: dict[str, Any] = {
    "seq": 3,
    "at": "2026-05-08T07:26:37.000Z",
    "who": {"subject": "dora", "name": "Dora", "extId": None, "client": None},
    "what": "job.paused",
    "subject": "job/88db",
    "details": None,
    "hash": "AAAA",
}


def test_filters_are_those_of_the_service(fake: Fake) -> None:
    fake.says("GET", "/api/audit", {"items": [ENTRY, {**ENTRY, "seq": 2, "who": None}], "next": None})
    words = ("--subject", "job/88db", "--who", "dora", "--what", "job.paused", "--since", "2026-05-08T00:00:00Z")
    done = fake.run("audit", "list", *words)
    assert done.code == 0
    params = dict(fake.requests[0].url.params)
    assert params.pop("limit")
    assert params == {"subject": "job/88db", "who": "dora", "what": "job.paused", "since": "2026-05-08T00:00:00Z"}
    first, second = done.out.splitlines()[1:]
    assert "Dora" in first
    assert "the service" in second
    done = fake.run("audit", "list", "--output", "json")
    assert json.loads(done.out)[0] == ENTRY


def test_help_of_verify_needs_no_service(fake: Fake) -> None:
    done = fake.run("audit", "verify", "--help")
    assert (done.code, "--config" in done.out) == (0, True)
