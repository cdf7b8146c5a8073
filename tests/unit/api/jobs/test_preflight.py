"""The endpoint of preflights, and the plan that it gives to a submission."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.api.auth.callers import Authenticator, IssuerOptions, KeySets, ResourceServerOptions
from app.api.http.bodies import Uploads
from app.api.http.concurrency import ConcurrencyLimit
from app.api.jobs import control, preflight, submit_and_report
from app.api.submission.reader import YamlReader
from app.archiver.describe import Target
from app.archiver.preflight import Preflights
from app.domain.plans import Terms
from app.jobs.control import JobControl
from app.jobs.plans import Plans
from tests.support.core import BUCKET, HISTORY, MESSAGE, TOPIC, Core, opened_core
from tests.support.edge import app_of, edge_with
from tests.support.scripted_source import document
from tests.unit.api.issuer import AUDIENCE, ISSUER, NOW, Clock, FakeJwks, token

YAML = {"Content-Type": "application/yaml"}
JOB = "/api/jobs/88dbb65f-9634-4685-bc86-17b72d715d3e"
TERMS = Terms((), BUCKET, "NONE", frozenset(), frozenset(), "COMPLIANCE")


@dataclass
class Api:
    core: Core
    client: httpx.AsyncClient
    plans: "ChangingPlans"

    async def asked(self, *ids: str, query: str = "", comment: str = "") -> httpx.Response:
        return await self.client.post(f"/api/preflight{query}", content=body(*ids, comment=comment), headers=YAML)

    async def preflight(self, *ids: str, query: str = "", comment: str = "") -> Any:
        answer = await self.asked(*ids, query=query, comment=comment)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def submit(self, *ids: str, plan: str | list[str]) -> httpx.Response:
        plans = [plan] if isinstance(plan, str) else plan
        headers = [*YAML.items(), *(("Pas-Plan", each) for each in plans)]
        return await self.client.put(JOB, content=body(*ids), headers=headers)


class ChangingPlans:
    """Plans of an installation whose settings a test can change, as a restart does."""

    def __init__(self) -> None:
        self.terms = TERMS

    def __getattr__(self, name: str) -> Any:
        return getattr(Plans(self.terms), name)


def body(*ids: str, comment: str = "") -> str:
    references = "".join(f"- id: {json.dumps(each)}{comment}\n" for each in ids)
    return f"message: {MESSAGE}\ntopic: {TOPIC}\narchiveDataReferences:\n{references}"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    app = app_of(submit_and_report, control, preflight)
    sets = KeySets.fetched([IssuerOptions(ISSUER, "https://issuer.example/jwks")], FakeJwks().client, None, Clock())
    reader, plans = YamlReader(), ChangingPlans()
    async with opened_core(tmp_path) as core:
        source: Any = core.source
        edge_with(
            app,
            authenticator=Authenticator(ResourceServerOptions("psf", AUDIENCE), sets, lambda: NOW),
            submissions=core.submissions,
            job_control=JobControl(core.database, HISTORY, core.on_due),
            preflights=Preflights(Target(BUCKET), source, core.registry, core.objects, locks=True),
            plans=plans,
            yaml_reader=reader,
            uploads=Uploads(1024 * 1024),
            preflight_turns=ConcurrencyLimit("preflights", 1, waiting=0),
            max_references=10_000,
            max_attempts=4,
        )
        headers = {"Authorization": f"Bearer {token(scope='backfilljob:read backfilljob:write')}"}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://pas", headers=headers) as client:
            yield Api(core, client, plans)
    await reader.close()


async def test_all_of_a_small_job_is_asked_for_and_five_of_a_large_one(api: Api) -> None:
    ids = [f"doc-{number}" for number in range(21)]
    assert [each["referenceId"] for each in (await api.preflight(*ids[:20]))["sample"]] == ids[:20]
    assert [each["referenceId"] for each in (await api.preflight(*ids))["sample"]] == ids[::5]


async def test_who_says_how_many_gets_so_many(api: Api) -> None:
    ids = [f"doc-{number}" for number in range(60)]
    assert len((await api.preflight(*ids, query="?sample=50"))["sample"]) == 50
    assert len((await api.preflight(*ids[:10], query="?sample=1"))["sample"]) == 1


@pytest.mark.parametrize("query", ["?sample=0", "?sample=51", "?sample=many", "?sample=1&sample=2", "?samples=3"])
async def test_another_number_or_parameter_is_refused_and_nothing_asked(api: Api, query: str) -> None:
    answer = await api.asked("doc", query=query)
    assert (answer.status_code, [each["path"].rstrip("s") for each in answer.json()["errors"]]) == (400, ["sample"])
    assert api.core.source.asked == []


async def test_ids_that_are_probably_not_meant_are_warnings_and_no_mistakes(api: Api) -> None:
    found = await api.preflight("doc", "doc ")
    assert found["ok"] is True
    assert [(each["path"], each["line"]) for each in found["warnings"]] == [("archiveDataReferences[1].id", 5)] * 2
    assert found["warnings"][0]["message"] == "'doc ' has blanks around it; they belong to the id"
    assert (await api.preflight("doc"))["warnings"] == []


async def test_a_forecast_has_bytes_time_and_the_day_of_the_lock(api: Api) -> None:
    found = await api.preflight("a", "b")
    size = sum(each["size"] for each in found["sample"])
    forecast = found["forecast"]
    assert forecast.keys() == {"references", "bytes", "lockedUntil", "seconds", "cost"}
    assert (forecast["references"], forecast["cost"]) == (2, None)
    assert forecast["bytes"] == {"low": size, "likely": size, "high": size}
    assert forecast["seconds"]["low"] <= forecast["seconds"]["likely"] <= forecast["seconds"]["high"]
    assert {each["lockedUntil"] for each in found["sample"]} == {forecast["lockedUntil"]}


async def test_where_the_answers_of_the_source_differ_the_plan_does_not(api: Api) -> None:
    first = await api.preflight("a", "b")
    api.core.source.answers("a", document("a much longer title than before"))
    second = await api.preflight("b", "a", comment="  # the order and comments do not matter either")
    assert first["forecast"]["bytes"] != second["forecast"]["bytes"]
    assert first["plan"] == second["plan"]
    assert (await api.preflight("a", "c"))["plan"] != first["plan"]


async def test_a_submission_with_its_plan_is_accepted_and_a_repeat_needs_none(api: Api) -> None:
    plan = (await api.preflight("a", "b"))["plan"]
    assert (await api.submit("b", "a", plan=plan)).status_code == 200
    assert (await api.submit("b", "a", plan="garbled")).status_code == 200
    assert (await api.submit("b", plan=plan)).status_code == 409


async def test_a_submission_whose_plan_no_longer_holds_is_refused_and_not_stored(api: Api) -> None:
    plan = (await api.preflight("a", "b"))["plan"]
    api.plans.terms = replace(TERMS, bucket="other", lock_mode=None)
    answer = await api.submit("a", "b", plan=plan)
    assert (answer.status_code, answer.headers["content-type"]) == (412, "application/problem+json")
    assert answer.json()["detail"].endswith("nothing was stored. Make a new preflight.")
    assert answer.json()["errors"] == [
        {
            "path": "Pas-Plan",
            "message": "was made with another bucket, or other buckets and prefixes that a source may ask for",
        },
        {"path": "Pas-Plan", "message": "was made with another lock mode: now objects are not locked"},
    ]
    assert (await api.client.get(JOB)).status_code == 404
    assert api.core.due == 0


@pytest.mark.parametrize("garbled", ["", "x", "1.a.b"])
async def test_what_is_no_plan_is_refused(api: Api, garbled: str) -> None:
    answer = await api.submit("a", plan=garbled)
    assert answer.status_code == 412
    assert answer.json()["errors"][0]["message"] == "is not a plan as a preflight gives it; copy all of it"


async def test_two_plans_are_none(api: Api) -> None:
    plan = (await api.preflight("a"))["plan"]
    assert (await api.submit("a", plan=[plan, plan])).status_code == 412
    assert (await api.client.get(JOB)).status_code == 404


async def test_a_submission_that_does_not_fit_is_a_mistake_whatever_its_plan(api: Api) -> None:
    wrong = body("a").replace(MESSAGE, MESSAGE.lower())
    answer = await api.client.put(JOB, content=wrong, headers={**YAML, "Pas-Plan": "x"})
    assert answer.status_code == 400
    (mistake,) = answer.json()["errors"]
    assert mistake["message"] == f"no archive type is configured for message {MESSAGE.lower()}; there are {MESSAGE}"
