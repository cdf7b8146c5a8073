"""`pas metadata`: keys and runs."""

from typing import Any

import pytest

from tests.unit.cli.conftest import Fake

PATH = "/api/metadata-backfills"
RUN: dict[str, Any] = {
    "id": "r-1",
    "messageType": "Osv",
    "configId": None,
    "keys": ["customer_id", "amount"],
    "mode": "all",
    "state": "open",
    "total": 1200,
    "processed": 600,
    "updated": 10,
    "null": 3,
    "failed": 1,
    "started": "2026-05-08T07:26:37Z",
    "completed": None,
    "rate": 12.5,
    "estimatedEnd": None,
    "startedByName": "Dora",
    "errors": [{"artifact": 7, "message": "gone"}],
}


def test_a_run_is_asked_for_with_what_was_given_only(fake: Fake) -> None:
    fake.says("POST", PATH, RUN)
    done = fake.run("metadata", "run", "--message", "Osv")
    assert fake.sent() == {"messageType": "Osv", "mode": "missing"}
    assert (done.code, done.out) == (0, "Run r-1 is open: 1,200 artifacts to read.\n")
    fake.run(
        *["metadata", "run", "--message", "Osv", "--config-id", "c", "--key", "a", "--key", "b", "--mode", "failed"]
    )
    assert fake.sent() == {"messageType": "Osv", "configId": "c", "keys": ["a", "b"], "mode": "failed"}


def test_a_dry_run_shows_old_and_new_values(fake: Fake) -> None:
    sample = [
        {"artifact": 1234, "old": {}, "new": {"a": 1}},
        {"artifact": 5, "old": {"a": 2}, "new": None, "error": "cannot be read"},
    ]
    fake.says("POST", PATH, {"total": 1, "sample": sample})
    done = fake.run("metadata", "run", "--message", "Osv", "--dry-run")
    assert fake.sent()["dryRun"] is True
    assert "It would read 1 artifact." in done.out
    assert '1234  {}       {"a":1}' in done.out
    assert "cannot be read" in done.out


@pytest.mark.parametrize("what", ["pause", "resume", "cancel"])
def test_runs_are_steered(what: str, fake: Fake) -> None:
    fake.says("POST", f"{PATH}/r-1/{what}", RUN)
    assert fake.run("metadata", what, "r-1").out == "Run r-1 is open: 600 of 1,200 artifacts read.\n"


def test_runs_and_keys_are_listed(fake: Fake) -> None:
    fake.says("GET", PATH, {"items": [RUN], "next": None})
    assert "customer_id, amount" in fake.run("metadata", "runs").out
    fake.says("GET", f"{PATH}/r-1", RUN)
    assert "artifact 7: gone" in fake.run("metadata", "show", "r-1").out
    columns = [{"messageType": "Osv", "configId": None, "key": "a", "active": False}]
    fake.says("GET", "/api/artifacts/columns", {"items": columns, "next": None})
    assert "no, its values stay" in fake.run("metadata", "columns").out
