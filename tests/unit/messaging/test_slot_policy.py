"""How many slots a lane may have."""

from typing import cast

import pytest

from app.messaging.slot_policy import DEAD_LETTERS, METADATA, NO_SOURCE, PAYLOADS, PUTTING_BACK, slot_limit
from app.sources.pacing import SourcePacers


class Paced:
    """In the place of the pacing: notes what it is asked."""

    def limit(self, source: str, others_have_work: bool, slots: int) -> int:
        return {"slow": 1, "shared": slots // 2 if others_have_work else slots}[source]


@pytest.mark.parametrize(
    ("lane", "others", "slots", "most"),
    [
        (METADATA, True, 64, 1),
        (METADATA, False, 64, 6),
        (METADATA, False, 8, 2),
        (METADATA, False, 2, 1),
        (DEAD_LETTERS, False, 64, 16),
        (DEAD_LETTERS, True, 2, 1),
        (PAYLOADS, True, 64, 32),
        (PAYLOADS, False, 64, 64),
        (PAYLOADS, True, 1, 1),
        (PUTTING_BACK, True, 64, 64),
        (NO_SOURCE, True, 64, 64),
        ("slow", False, 64, 1),
        ("shared", True, 64, 32),
        ("shared", False, 64, 64),
    ],
)
def test_a_lane_has_what_its_source_takes_or_its_share(lane: str, others: bool, slots: int, most: int) -> None:
    assert slot_limit(cast("SourcePacers", Paced()), slots)(lane, others) == most
