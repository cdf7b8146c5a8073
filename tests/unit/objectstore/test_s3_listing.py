"""Listings of stores that go on in ways of their own."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.domain.errors import Unavailable
from app.objectstore.s3_listing import walk

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
KEYS = [f"PSF/OsvRecord/ab/{number:064x}/v0" for number in range(9)] + ["a", "b", "c", "d/e"]


class RepeatingStore:
    """Each page but the first begins with the last version of the page before, as in Versity's gateway."""

    def __init__(self, keys: list[str]) -> None:
        self.versions = [(key, version) for key in sorted(keys) for version in ("2", "1")]

    async def list_object_versions(
        self,
        *,
        Bucket: str,
        Prefix: str,
        MaxKeys: int,
        Delimiter: str = "",
        **marker: str,
    ) -> dict[str, Any]:
        found = [each for each in self.versions if each[0].startswith(Prefix)]
        rest = {each: each[0][len(Prefix) :].partition("/") for each in found}
        folders = sorted({f"{Prefix}{name}/" for name, slash, _ in rest.values() if slash}) if Delimiter else []
        if Delimiter:
            found = [each for each in found if not rest[each][1]]
        begin = found.index((marker["KeyMarker"], marker["VersionIdMarker"])) if marker else 0
        page = found[begin : begin + MaxKeys]
        answer: dict[str, Any] = {
            "Versions": [{"Key": k, "VersionId": v, "Size": 1, "LastModified": MOMENT} for k, v in page],
            "CommonPrefixes": [{"Prefix": folder} for folder in folders],
            "IsTruncated": begin + MaxKeys < len(found),
        }
        if answer["IsTruncated"]:
            answer |= {"NextKeyMarker": page[-1][0], "NextVersionIdMarker": page[-1][1]}
        return answer


async def listed(store: RepeatingStore, limit: int) -> list[tuple[str, str]]:
    return [(each.key, each.version_id) async for page in walk(store, "b", None, limit=limit) for each in page]


@pytest.mark.parametrize("limit", [2, 3, 4, 5, 1000])
@pytest.mark.parametrize("keys", [KEYS, KEYS[:9], KEYS[9:12]])
async def test_what_a_store_lists_twice_is_told_once(keys: list[str], limit: int) -> None:
    store = RepeatingStore(keys)
    found = await listed(store, limit)
    assert sorted(found) == sorted(store.versions)


async def test_a_listing_that_does_not_go_on_is_named_and_not_followed_for_ever() -> None:
    with pytest.raises(Unavailable, match="bucket b: the listing of versions does not go on"):
        await listed(RepeatingStore(KEYS), 1)
