"""Each component is told by its own state, also while another one is away."""

from types import SimpleNamespace
from typing import Any

import pytest

from app.domain.errors import Unavailable
from app.domain.readiness import DATABASE, OBJECT_STORE, Readiness
from app.process.probes import Probes
from app.process.watch import Probe


class Away:
    """In the place of database and object store."""

    def __init__(self, store_is_away: bool) -> None:
        self.store_is_away = store_is_away

    async def run(self, _work: Any) -> None:
        raise Unavailable(DATABASE, "password authentication failed")

    async def check(self, _buckets: Any) -> None:
        if self.store_is_away:
            raise Unavailable(OBJECT_STORE, "connection refused")


def look_at_buckets(away: Any) -> Probe:
    nothing: Any = SimpleNamespace()
    return Probes([], ["archive"], away, nothing, away, nothing, nothing, Readiness(()), nothing).look_at_buckets


@pytest.mark.parametrize(("store_is_away", "told"), [(True, OBJECT_STORE), (False, DATABASE)])
async def test_the_object_store_is_looked_at_without_the_database(store_is_away: bool, told: str) -> None:
    with pytest.raises(Unavailable) as caught:
        await look_at_buckets(Away(store_is_away))()
    assert caught.value.component == told
