"""Metadata runs over HTTP: look, start, pause, resume, cancel."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from app.api.shapes.cursors import ListOf, cursor_at
from tests.support.metadata import (
    DISABLED,
    TYPE,
    archived,
    catalog,
    definitions,
    insert,
    stored_values,
    together,
    work_off,
)
from tests.unit.api.run_app import PATH, READER, WRITER, RunApp, run_app

KEYS = {"a": "x.a", "b": "x.b"}


@pytest.fixture
async def app(url: str) -> AsyncIterator[RunApp]:
    async with run_app(url) as app:
        yield app


async def archive(app: RunApp, number: int, **paths: str) -> None:
    """So many artifacts, then the definition."""
    await insert(app.database, *(archived(f"r{i}") for i in range(number)))
    app.documents.by_reference |= {f"r{i}": {"x": {"a": i}} for i in range(number)}
    await definitions(app.database).apply(catalog(**(paths or KEYS)))


async def test_a_run_is_shown_with_all_that_the_contract_names(app: RunApp) -> None:
    await archive(app, 12)
    [listed] = (await app.get()).json()["items"]
    shown = (await app.get(f"/{listed['id']}")).json()
    started = shown.pop("started")
    assert started.endswith("Z")
    assert shown == {
        "id": listed["id"],
        "messageType": TYPE,
        "configId": None,
        "keys": ["a", "b"],
        "mode": "automatic",
        "revision": 1,
        "allVersions": False,
        "state": "open",
        "total": 12,
        "processed": 0,
        "updated": 0,
        "null": 0,
        "failed": 0,
        "completed": None,
        "rate": None,
        "estimatedEnd": None,
        "startedByName": None,
        "startedByExtId": None,
        "errors": [],
    }
    await work_off(app.database, app.documents)
    done = (await app.get(f"/{listed['id']}")).json()
    assert (done["state"], done["processed"], done["updated"], done["null"]) == ("completed", 12, 12, 12)
    assert done["completed"] > started
    assert done["rate"] > 0


async def test_errors_are_named_by_artifact_and_paged(app: RunApp) -> None:
    await archive(app, 25)
    app.documents.by_reference.clear()
    await work_off(app.database, app.documents)
    [run] = (await app.get()).json()["items"]
    shown = (await app.get(f"/{run['id']}")).json()
    assert shown["failed"] == 25
    assert len(shown["errors"]) == 20
    seen, cursor = [], None
    while True:
        answer = await app.get(f"/{run['id']}/errors", params={"limit": 10, **({"cursor": cursor} if cursor else {})})
        page = answer.json()
        seen += page["items"]
        if (cursor := page["next"]) is None:
            break
    assert seen[:20] == shown["errors"]
    assert [each["artifact"] for each in seen] == sorted({each["artifact"] for each in seen})
    assert len(seen) == 25
    assert seen[0].keys() == {"artifact", "message", "at", "resolved"}
    assert seen[0]["message"] == "the stored object is gone"


async def test_runs_are_listed_newest_first_in_pages(app: RunApp) -> None:
    await archive(app, 1)
    started = [(await app.start(messageType=TYPE, mode="all"))["id"] for _ in range(4)]
    first = (await app.get(params={"limit": 3})).json()
    assert [run["id"] for run in first["items"]] == started[:0:-1]
    second = (await app.get(params={"limit": 3, "cursor": first["next"]})).json()
    assert second["items"][0]["id"] == started[0]
    assert (len(second["items"]), second["next"]) == (2, None)


async def test_a_run_by_hand_is_accepted_and_done(app: RunApp) -> None:
    await archive(app, 3, a="x.a")
    await work_off(app.database, app.documents)
    app.documents.by_reference |= {"r0": {"x": {"a": "other"}}}
    answer = await app.post(json={"messageType": TYPE, "keys": ["a", "a"], "mode": "all"})
    assert answer.status_code == 202
    run = answer.json()
    assert answer.headers["location"] == f"{PATH}/{run['id']}"
    assert (run["mode"], run["keys"], run["total"], run["state"]) == ("all", ["a"], 3, "open")
    assert (run["startedByName"], run["startedByExtId"]) == ("Wanda", "4711")
    assert app.woken == 1
    await work_off(app.database, app.documents)
    done = (await app.get(f"/{run['id']}")).json()
    assert (done["state"], done["processed"], done["updated"]) == ("completed", 3, 1)
    assert (await stored_values(app.database))["r0"] == {"a": ('"other"', 1)}


async def test_a_run_over_nothing_is_completed_at_once(app: RunApp) -> None:
    await archive(app, 0)
    run = await app.start(messageType=TYPE)
    assert (run["state"], run["total"], run["mode"], run["keys"]) == ("completed", 0, "missing", ["a", "b"])


async def test_a_dry_run_tells_what_would_change_and_writes_nothing(app: RunApp) -> None:
    await insert(
        app.database,
        archived("r0", revision=1, values={"a": 10**20, "b": "kept"}),
        archived("gone"),
        archived("r1"),
    )
    await definitions(app.database).apply(catalog(a="x.a"))
    await definitions(app.database).apply(catalog(a="y.a", b="x.b"))
    app.documents.by_reference |= {"r0": {"y": {"a": 0.1}}, "r1": {"x": {"b": [None]}}}
    before = await stored_values(app.database), (await app.get()).json()
    answer = await app.post(json={"messageType": TYPE, "mode": "all", "dryRun": True})
    assert answer.status_code == 200
    assert answer.json()["total"] == 3
    r1, gone, r0 = answer.json()["sample"]
    assert '"old":{"a":100000000000000000000,"b":"kept"}' in answer.text, "numbers are exact"
    assert (r0["old"], r0["new"]) == ({"a": 10**20, "b": "kept"}, {"a": 0.1, "b": None})
    assert (r1["old"], r1["new"]) == ({}, {"a": None, "b": [None]})
    assert (gone["new"], gone["error"]) == (None, "the stored object is gone")
    assert (await stored_values(app.database), (await app.get()).json()) == before
    assert app.woken == 0


@pytest.mark.parametrize(
    ("mode", "after"),
    [("all", {"a": "new", "b": "new", "c": "new"}), ("missing", {"a": "old", "b": "old", "c": "new"})],
)
async def test_a_dry_run_follows_the_rule_of_its_mode(app: RunApp, mode: str, after: dict[str, str]) -> None:
    await definitions(app.database).apply(catalog(a="x.a", b="x.b", c="x.c"))
    await insert(app.database, archived("r0", revision=1, values={"a": "old", "b": "old"}))
    app.documents.by_reference["r0"] = {"x": dict.fromkeys("abc", "new")}
    [sample] = (await app.post(json={"messageType": TYPE, "mode": mode, "dryRun": True})).json()["sample"]
    assert sample["new"] == after
    await app.start(messageType=TYPE, mode=mode)
    await work_off(app.database, app.documents)
    kept = (await stored_values(app.database))["r0"]
    assert {key: json for key, (json, _) in kept.items()} == {key: f'"{found}"' for key, found in after.items()}


async def test_pause_resume_and_cancel(app: RunApp) -> None:
    await archive(app, 1)
    [run] = (await app.get()).json()["items"]
    path = f"/{run['id']}"
    steps = [("pause", 200, "paused"), ("pause", 409, "paused"), ("resume", 200, "open"), ("resume", 409, "open")]
    steps += [("pause", 200, "paused"), ("cancel", 200, "cancelled")]
    steps += [(act, 409, "cancelled") for act in ("pause", "resume", "cancel")]
    for act, status, state in steps:
        answer = await app.post(f"{path}/{act}")
        assert answer.status_code == status, (act, answer.text)
        if status == 200:
            assert answer.json()["state"] == state
        else:
            assert answer.json()["detail"] == f"The run is {state}; nothing was changed."
        assert (await app.get(path)).json()["state"] == state
    assert (await app.get(path)).json()["completed"] is not None
    assert app.woken == 1


async def test_an_unknown_run_is_404_and_no_uuid_400(app: RunApp) -> None:
    unknown = uuid4()
    answers = [await app.get(f"/{unknown}"), await app.get(f"/{unknown}/errors")]
    answers += [await app.post(f"/{unknown}/{act}") for act in ("pause", "resume", "cancel")]
    assert [answer.status_code for answer in answers] == [404] * 5
    assert str(unknown) in answers[0].json()["detail"]
    assert (await app.get(f"/{unknown.hex}")).status_code == 400
    assert (await app.post("/x/pause")).status_code == 400


def cursor_of_time(time: str) -> str:
    return cursor_at(ListOf.RUNS, f"{time} 88dbb65f-9634-4685-bc86-17b72d715d3e")


@pytest.mark.parametrize(
    "cursor",
    [
        *("x", "=", "ä", "MjAyNi0wMQ", "-1", "9" * 30, "0" * 20 + "9" * 30, "", "a" * 500),
        *(cursor_of_time("0001-01-01T00:00:00+23:59"), cursor_of_time("9999-12-31T23:59:59-23:59")),
        *(cursor_at(ListOf.RUN_ERRORS, place) for place in (-1, "9" * 30, "0" * 20 + "9" * 30, 2**63, "x", "")),
    ],
)
async def test_a_cursor_of_nowhere_is_400(app: RunApp, cursor: str) -> None:
    await archive(app, 1)
    [run] = (await app.get()).json()["items"]
    assert (await app.get(params={"cursor": cursor})).status_code == 400
    assert (await app.get(f"/{run['id']}/errors", params={"cursor": cursor})).status_code == 400
    assert (await app.get(params={"limit": 0})).status_code == 400
    assert (await app.get(params={"limit": 1001})).status_code == 400


@pytest.mark.parametrize(
    ("body", "place", "said"),
    [
        ({"messageType": "Unknown"}, "messageType", "archive types with keys: DocCreated, Several"),
        ({"messageType": "Several"}, "configId", "has several configurations: one, two"),
        ({"messageType": "Several", "configId": "three"}, "configId", "configurations of the message type: one, two"),
        ({"messageType": TYPE, "configId": "one"}, "configId", "configurations of the message type: none"),
        ({"messageType": TYPE, "keys": ["a", "c"]}, "keys[1]", "is no active key; active keys: a, b"),
        ({"messageType": TYPE, "mode": "automatic"}, "mode", "'missing', 'failed' or 'all'"),
        ({"messageType": TYPE, "mode": 1}, "mode", "'missing', 'failed' or 'all'"),
        ({"messageType": TYPE, "keys": "a"}, "keys", "valid array"),
        ({"messageType": TYPE, "keys": [1]}, "keys[0]", "valid string"),
        ({"messageType": TYPE, "keys": [""]}, "keys[0]", "at least 1"),
        ({"messageType": TYPE, "keys": []}, "keys", "at least 1"),
        ({"messageType": TYPE, "dryRun": "yes"}, "dryRun", "valid boolean"),
        ({"messageType": TYPE, "dryrun": True}, "dryrun", "there are messageType, configId, keys, mode, dryRun"),
        ({"messageType": ""}, "messageType", "at least 1"),
        ({}, "messageType", "is missing"),
        ([], "", "should be an object"),
        (b"", "", "Invalid JSON"),
        (b"{", "", "Invalid JSON"),
        (b"[" * 60_000, "", "recursion limit"),
        (b'{"messageType": "\xff"}', "", "Invalid JSON"),
        (b'{"messageType": "\\ud800"}', "", "Invalid JSON"),
        (b'{"messageType": "\\u0000"}', "messageType", "or has no metadata keys"),
    ],
)
async def test_a_body_with_a_mistake_is_400_and_says_what_is_possible(
    app: RunApp, body: Any, place: str, said: str
) -> None:
    await archive(app, 1)
    several = (catalog("Several", config, a="x.a") for config in ("one", "two"))
    await definitions(app.database).apply(together(catalog(a="x.a", b="x.b"), *several))
    found = await app.mistakes(body)
    assert found.keys() == {place}
    assert said in found[place]


async def test_all_mistakes_of_the_keys_are_told(app: RunApp) -> None:
    await archive(app, 1)
    assert (await app.mistakes({"messageType": TYPE, "keys": ["x", "a", "y"]})).keys() == {"keys[0]", "keys[2]"}


async def test_a_removed_key_cannot_be_filled(app: RunApp) -> None:
    await archive(app, 1)
    await definitions(app.database).apply(catalog(b="x.b"))
    assert await app.mistakes({"messageType": TYPE, "keys": ["a"]}) == {"keys[0]": "is no active key; active keys: b"}
    await definitions(app.database).apply(catalog())
    assert await app.mistakes({"messageType": TYPE}) == {"keys": "the archive type has no active key"}


async def test_media_type_and_size_are_checked(app: RunApp) -> None:
    assert (await app.post(content=b"{}", headers={"Content-Type": "application/yaml"})).status_code == 415
    assert (await app.post(content=b"{}")).status_code == 415
    large = b'{"messageType": "' + b"x" * 65536 + b'"}'
    assert (await app.post(content=large, headers={"Content-Type": "application/json"})).status_code == 413


async def test_roles_are_asked_before_the_body(app: RunApp) -> None:
    unknown = uuid4()

    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    for path in ("", f"/{unknown}/pause", f"/{unknown}/resume", f"/{unknown}/cancel"):
        refused = await app.client.post(PATH + path, headers=READER, content=never())
        assert refused.status_code == 403
        assert "backfilljob:write" in refused.json()["detail"]
        assert (await app.client.post(PATH + path, content=never())).status_code == 401
    for path in ("", f"/{unknown}", f"/{unknown}/errors"):
        assert (await app.client.get(PATH + path, headers=WRITER)).status_code == 403
        assert (await app.client.get(PATH + path)).status_code == 401


async def test_where_runs_are_switched_off_none_can_be_started(url: str) -> None:
    async with run_app(url, DISABLED) as app:
        for dry_run in (True, False):
            refused = await app.post(json={"messageType": TYPE, "dryRun": dry_run})
            assert refused.status_code == 409
            assert "jeap.processarchive.metadata-backfill.enabled" in refused.json()["detail"]
        assert (await app.get()).json() == {"items": [], "next": None}


async def test_the_openapi_document_has_every_answer(app: RunApp) -> None:
    document = app.app.openapi()
    operations = {
        (path.removeprefix(PATH), method): set(operation["responses"])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    usual = {"200", "400", "401", "403", "503"}
    assert operations == {
        ("", "get"): usual,
        ("", "post"): usual | {"202", "408", "409", "413", "415"},
        ("/{run_id}", "get"): usual | {"404"},
        ("/{run_id}/errors", "get"): usual | {"404"},
        **{(f"/{{run_id}}/{act}", "post"): usual | {"404", "409"} for act in ("pause", "resume", "cancel")},
    }
    post = document["paths"][PATH]["post"]
    schema = post["requestBody"]["content"]["application/json"]["schema"]
    assert schema["required"] == ["messageType"]
    assert schema["properties"].keys() == {"messageType", "configId", "keys", "mode", "dryRun"}
    assert post["responses"]["202"]["content"]["application/json"]["schema"]["$ref"].endswith("/RunView")
    assert post["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/DryRunView")
    assert all(operation.get("summary") for methods in document["paths"].values() for operation in methods.values())
