"""Any id: the source gets it byte for byte, as one segment of the path or one value of the query."""

import asyncio
from urllib.parse import unquote_to_bytes

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.api.submission.scalars import id_problem
from app.domain.jobs import Reference
from tests.unit.sources.server import TRACEPARENT, document, serving, sources

ids = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=512).filter(
    lambda text: id_problem(text) is None
) | st.text("./\\?#%&=+ ;:@{}()[]<>'\"!$,*|^`~2fFeE", min_size=1, max_size=20).filter(
    lambda text: id_problem(text) is None
)
PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%")


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(ids, min_size=1, max_size=20), st.integers(1, 2**31 - 1))
def test_every_id_arrives_as_one_segment_or_one_value(wanted: list[str], version: int) -> None:
    async def fetched(path: str) -> list[str]:
        async with serving(document()) as server, sources() as client:
            for id_ in wanted:
                async with client.fetching(server.configuration(path), Reference(id_, version), TRACEPARENT):
                    pass
            return server.targets

    for id_, target in zip(wanted, asyncio.run(fetched("/docs/{id}/v/{version}")), strict=True):
        empty, docs, segment, v, number = target.split("/")  # not one more
        assert (empty, docs, v, number) == ("", "docs", "v", str(version))
        assert set(segment.encode()) <= PLAIN
        assert unquote_to_bytes(segment) == id_.encode()
    for id_, target in zip(wanted, asyncio.run(fetched("/docs?id={id}&version={version}")), strict=True):
        path, query = target.split("?")
        first, second = query.split("&")
        assert (path, second) == ("/docs", f"version={version}")
        assert set(first.removeprefix("id=").encode()) <= PLAIN
        assert unquote_to_bytes(first.removeprefix("id=")) == id_.encode()
