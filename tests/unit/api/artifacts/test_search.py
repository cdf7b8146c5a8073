"""`GET /api/artifacts`: the shape of an artifact, conditions as parameters, pages, mistakes."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from app.api.artifacts import endpoints as artifacts
from app.domain.errors import Unavailable
from app.domain.jobs import Reference
from tests.support.edge import app_of
from tests.unit.api.artifact_app import ArtifactApp, artifact_app
from tests.unit.api.issuer import token


@pytest.fixture
async def api(url: str, tmp_path: Path) -> AsyncIterator[ArtifactApp]:
    async with artifact_app(tmp_path, url) as app:
        await app.archived.define("customer_id", "amount", "tags", inactive=["gone"])
        yield app


async def test_an_artifact_has_the_shape_of_the_contract_and_exact_values(api: ArtifactApp) -> None:
    metadata = {"amount": Decimal("0.10000000000000000000000001"), "gone": "x", "tags": ["ä"], "customer_id": None}
    await api.archived.add(metadata, reference=Reference("DOC/1 ä", 3), config_id="one")
    answer = await api.get("/1")
    assert answer.headers["content-type"] == "application/json"
    assert answer.text == (
        '{"id":1,"messageType":"DecreeCreatedEvent","configId":"one","referenceId":"DOC/1 ä","version":3,'
        '"system":"PSF","schema":"Decree","schemaVersion":1,"contentType":"application/json","size":2,'
        '"hash":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","bucket":"archive",'
        '"key":"PSF/Decree/1","versionId":"v","archivedAt":"2026-05-08T07:27:37.123Z",'
        '"retainUntil":"2026-06-07T07:26:37.123Z","jobId":"88dbb65f-9634-4685-bc86-17b72d715d3e",'
        '"metadata":{"amount":0.10000000000000000000000001,"customer_id":null,"gone":"x","tags":["ä"]}}'
    )
    assert await api.items("?metadata.gone=x") == [answer.json()]


async def test_conditions_are_parameters(api: ArtifactApp) -> None:
    for customer, amount in ((4711, 100), ("4711", 250.5), ("C&A=%", None)):
        await api.archived.add({"customer_id": customer, "amount": amount})
    for query, ids in {
        "?metadata.customer_id=4711": [2, 1],
        "?metadata.customer_id=4711&metadata.amount[gt]=100": [2],
        "?metadata.customer_id%5Bcontains%5D=C%26A%3D%25": [3],
        "?metadata.amount[isnull]=true": [3],
        "?metadata.amount[gte]=100&metadata.amount[lt]=200&allVersions=true": [1],
        "?referenceId=DOC-2&version=1&system=PSF&schema=Decree&messageType=DecreeCreatedEvent": [2],
        "?jobId=88DBB65F-9634-4685-BC86-17B72D715D3E&archivedFrom=2026-05-08T09:28:37+02:00": [3, 2],
        "?archivedFrom=2026-05-08&archivedTo=2026-05-08T07:28:37.123456Z": [1],
        "?archivedTo=2026-05-08": [],
    }.items():
        assert [each["id"] for each in await api.items(query)] == ids, query


async def test_a_key_may_have_dots_and_brackets(api: ArtifactApp) -> None:
    await api.archived.define("a.b", "a.b[gt]", "items[0]")
    await api.archived.add({"a.b": 5, "a.b[gt]": "x", "items[0]": "y"})
    for query in ("metadata.a.b=5", "metadata.a.b[gt]=4", "metadata.a.b[gt][eq]=x", "metadata.items[0]=y"):
        assert len(await api.items(f"?{query}")) == 1, query
    assert await api.items("?metadata.a.b[gt]=5") == []


async def test_pages_are_asked_on_with_the_cursor(api: ArtifactApp) -> None:
    for _ in range(5):
        await api.archived.add({"customer_id": "a"})
    query, found, page = "?metadata.customer_id=a&limit=2", [], {"next": ""}
    for expected in (2, 2, 1):
        page = (await api.get(query)).json()
        assert list(page) == ["items", "next"]
        assert len(page["items"]) == expected
        found += [each["id"] for each in page["items"]]
        query = f"?metadata.customer_id=a&limit=2&cursor={page['next']}"
    assert page["next"] is None
    assert found == [5, 4, 3, 2, 1]


async def test_columns_say_which_keys_there_are(api: ArtifactApp) -> None:
    answer = (await api.get("/columns")).json()
    shown = {"messageType": "DecreeCreatedEvent", "configId": None}
    assert answer["next"] is None
    assert answer["items"][0] == {**shown, "key": "customer_id", "active": True}
    assert answer["items"][-1] == {**shown, "key": "gone", "active": False}


async def test_all_mistakes_of_a_search_are_named_with_what_is_possible(api: ArtifactApp) -> None:
    found = await api.mistakes(
        "?mesageType=x&metadata.costumer=1&metadata.amount[above]=1&metadata.amount[isnull]=maybe&version=1.0&limit=0"
        "&metadata.amount[gt]=1e999&jobId=1&archivedFrom=yesterday&archivedTo=2026-05-08T07:00&allVersions=1&cursor=x"
        "&format=xml&system=&schema=a&schema=b"
    )
    assert "there are messageType, " in found["mesageType"]
    assert "there are customer_id, amount, gone, tags" in found["metadata.costumer"]
    assert found["metadata.amount[above]"] == (
        "has an unknown operator; there are eq, ne, contains, gt, gte, lt, lte, isnull"
    )
    assert found["metadata.amount[isnull]"] == "must be true or false"
    assert "beyond the numbers" in found["metadata.amount[gt]"]
    assert found["schema"] == "is given twice, as 'a' and 'b'; give it once"
    assert found["limit"] == "must be an integer from 1 to 1000"
    for name in ("version", "jobId", "archivedFrom", "archivedTo", "allVersions", "cursor", "format", "system"):
        assert found[name].startswith("must be "), name


async def test_a_condition_that_stands_twice_is_refused(api: ArtifactApp) -> None:
    found = await api.mistakes("?metadata.amount[gt]=1&metadata.amount[gt]=2&metadata.amount[lt]=5")
    assert found == {"metadata.amount[gt]": "is given twice, as '1' and '2'; give it once"}


async def test_all_accept_headers_of_a_request_count(api: ArtifactApp) -> None:
    headers = [("Accept", "application/json;q=0"), ("Accept", "text/csv;q=0.1"), ("Accept", "*/*;q=0.01")]
    answer = await api.client.get("/api/artifacts", headers=headers)
    assert answer.headers["content-type"].startswith("text/csv")
    refused = await api.get("", Accept="application/*;q=0")
    assert (refused.status_code, refused.headers["content-type"]) == (406, "application/problem+json")


@pytest.mark.parametrize(
    "query",
    ["?limit=1001", "?limit=%D9%A1", "?limit=-1", "?cursor=YXJ0aWZhY3Q6OTk5OTk5OTk5OTk5OTk5OTk5OQ", "?referenceId=%00",
     "?metadata.=1", "?metadata=1", "?metadata.%00=1", "?version=2147483648", "?archivedFrom=9999-12-31T23:59:59-12:00",
     "?" + "&".join(["metadata.amount=1"] * 21)],
)  # fmt: skip
async def test_what_the_database_could_not_take_is_refused(api: ArtifactApp, query: str) -> None:
    assert len(await api.mistakes(query)) == 1


async def test_an_unknown_artifact_is_404_and_an_impossible_id_400(api: ArtifactApp) -> None:
    for path, status in (
        ("/1", 404),
        ("/9223372036854775807/content", 404),
        ("/9223372036854775808", 400),
        *((f"/{each}", 400) for each in ("x", "0", "-1", "+2", "1_0", "%202", "2.0", "02", "2%0a")),
    ):
        answer = await api.get(path)
        assert (answer.status_code, answer.json()["status"]) == (status, status)


async def test_every_endpoint_asks_for_the_role_before_anything_else(api: ArtifactApp) -> None:
    for path in ("?x=1", "/columns", "/x", "/1/content"):
        assert (await api.get(path, Authorization="")).status_code == 401
        wrong = token(roles=["backfilljob:read", "backfilljob:write"])
        assert (await api.get(path, Authorization=f"Bearer {wrong}")).status_code == 403


async def test_a_database_that_is_away_is_503(api: ArtifactApp, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise Unavailable("database", "refused")

    monkeypatch.setattr(api.archived.database, "reading", away)
    for path in ("", "?format=csv", "?format=ndjson", "/1", "/columns"):
        assert (await api.get(path)).status_code == 503


def test_everything_is_documented() -> None:
    app = app_of(artifacts)
    paths = app.openapi()["paths"]
    search = paths["/api/artifacts"]["get"]
    assert {"messageType", "cursor", "metadata", "allVersions"} <= {each["name"] for each in search["parameters"]}
    assert set(search["responses"]["200"]["content"]) == {"application/json", "text/csv", "application/x-ndjson"}
    assert search["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/ArtifactPage")
    assert set(paths["/api/artifacts/{artifact_id}/content"]["get"]["responses"]) == {
        "200", "400", "401", "403", "404", "410", "503"
    }  # fmt: skip
    assert "schema" in app.openapi()["components"]["schemas"]["ArtifactView"]["properties"]
