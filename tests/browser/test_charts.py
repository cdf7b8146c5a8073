"""The charts of the whole service, and the tables behind them, for people who see them and people who do not."""

import json
import re
from datetime import UTC, datetime

from playwright.sync_api import expect

from tests.browser.person import MakePerson
from tests.support.archive_types import OSV
from tests.support.embedded import Embedded

LOOKED_AT = 45_000
"""Milliseconds: counters and limits are read every 10 s, and the views look again as often."""


def tell(embedded: Embedded, *ids: str) -> None:
    """Messages that are archived live."""
    lines = []
    for id_ in ids:
        identity = {"id": id_, "idempotenceId": f"live-{id_}", "created": datetime.now(UTC).isoformat()}
        lines.append({"identity": identity, "type": {"name": OSV.name, "version": "1.0.0"}, "payload": {"id": id_}})
    with (embedded.data_dir / "topics" / f"{OSV.topic}.jsonl").open("a") as topic:
        topic.writelines(f"{json.dumps(line)}\n" for line in lines)


def test_live_archiving_and_limits_of_sources_are_charted_with_tables(person: MakePerson, embedded: Embedded) -> None:
    ann = person()
    tell(embedded, *(f"PSF-live-{number}" for number in range(7)), "gone-live")
    ann.goes("/ui/archive-types")
    live = ann.page.get_by_role("region", name=re.compile(f"^{OSV.name}"))
    expect(live).to_contain_text("7 succeeded, 1 failed", timeout=LOOKED_AT)
    expect(live.locator("svg.chart .ok")).not_to_have_count(0)
    live.get_by_text("As a table").click()
    expect(live.get_by_role("columnheader", name="Succeeded")).to_be_visible()
    assert ann.hindrances() == []
    ann.clicks("7 days", "link")
    assert ann.page.url.endswith("/ui/archive-types?days=7"), "it can be sent to somebody"
    expect(live).to_contain_text("7 succeeded, 1 failed")
    live.get_by_role("link", name="its jobs").click()
    expect(ann.page.get_by_role("row").filter(has_text="live")).to_have_count(1)

    ann.goes("/ui/system")
    limits = ann.page.get_by_role("region", name=re.compile(f"^{OSV.name}.*"))
    expect(limits.locator("svg.chart .limit")).to_be_attached(timeout=LOOKED_AT)
    limits.get_by_text("As a table").click()
    expect(limits.get_by_role("columnheader", name="Allowed at least")).to_be_visible()
    assert ann.hindrances() == []
    ann.goes("/ui/system?days=2")
    ann.sees("is one of 1, 7, 30")
    ann.complaints[:] = [each for each in ann.complaints if "status of 400" not in each]
