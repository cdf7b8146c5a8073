"""The archive types' file changes while the service runs: taken over once it is written to its end and valid."""

import logging
from pathlib import Path

import pytest
from typing_extensions import override

from app.catalog.archive_types import Catalog, load_archive_types
from app.catalog.live import LiveCatalog
from app.domain.errors import Unavailable
from app.domain.readiness import Readiness
from app.metadata.definitions import Definitions
from app.process.reload import Reload, digest

ENTRY = """\
archiveTypes:
  - messageType: DocCreated
    topic: docs
    uri: https://source/{id}
    metadata_extraction_paths:
"""


class Applied(Definitions):
    """Notes what it is asked to apply."""

    def __init__(self) -> None:
        self.keys: list[list[str]] = []
        self.away = self.broken = False

    @override
    async def apply(self, catalog: Catalog) -> None:
        if self.away:
            raise Unavailable("database", "away")
        if self.broken:
            raise ValueError("what nobody thought of")
        self.keys.append([path.key for each in catalog.configurations for path in each.metadata_extraction_paths])

    @override
    async def sweep(self) -> None:
        raise AssertionError("not so soon")


class Place:
    def __init__(self, directory: Path) -> None:
        self.file = directory / "archive-types.yml"
        self.write("a")
        self.applied = Applied()
        seen = digest(self.file)
        self.live = LiveCatalog(self.load())
        self.readiness = Readiness(())
        self.reload = Reload(self.file, seen, self.load, self.live, self.applied, self.readiness)

    def write(self, *keys: str) -> None:
        self.file.write_text(ENTRY + "".join(f"      - {{key: {key}, path: x}}\n" for key in keys))

    def load(self) -> Catalog:
        return load_archive_types(self.file, (), allow_insecure=False)

    async def look(self, times: int = 2) -> list[list[str]]:
        for _ in range(times):
            await self.reload.look()
        return self.applied.keys

    def refused_for(self) -> str:
        """What the state of the service says; empty where the file is in force."""
        return self.readiness.configuration.reason or ""

    def keys(self) -> list[str]:
        return [path.key for path in self.live.now.configurations[0].metadata_extraction_paths]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def test_a_change_is_taken_over_and_applied_once(place: Place) -> None:
    assert await place.look() == []
    place.write("a", "b")
    assert await place.look(5) == [["a", "b"]]
    assert place.keys() == ["a", "b"]


async def test_a_file_that_is_still_being_written_is_not_read(place: Place) -> None:
    place.write("a", "b", "c")
    assert await place.look(1) == []
    place.write("a", "b", "c", "d")
    assert await place.look(1) == []
    assert await place.look(1) == [["a", "b", "c", "d"]]


async def test_the_same_content_again_is_no_change(place: Place) -> None:
    place.write("a")
    assert await place.look(3) == []
    place.write("b")
    await place.look(1)
    place.write("a")
    assert await place.look(3) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ENTRY + "      - {key: a, path: 'x..y'}\n", "metadata_extraction_paths"),
        (ENTRY + "      - {key: a, path: x}\n      - {key: a, path: y}\n", "metadata_extraction_paths"),
        (ENTRY.replace("topic", "topics"), "topics"),
        ("archiveTypes: [", "not valid YAML"),
        ("", "must hold archiveTypes"),
    ],
    ids=["path", "key twice", "unknown key", "broken", "empty"],
)
async def test_what_is_invalid_is_refused_with_its_place_and_the_former_stays(
    place: Place, text: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    place.file.write_text(text)
    assert await place.look(4) == []
    assert place.keys() == ["a"]
    errors = [
        record.getMessage()
        for record in caplog.records
        if record.levelno == logging.ERROR and record.name.startswith("app.")
    ]
    assert len(errors) >= 1
    assert said in errors[0]
    assert said in place.refused_for()
    place.write("a", "b")
    assert await place.look() == [["a", "b"]]
    assert place.refused_for() == ""


async def test_a_file_that_is_away_is_refused_and_taken_over_when_it_is_back(place: Place) -> None:
    place.file.unlink()
    assert await place.look(3) == []
    assert place.keys() == ["a"]
    assert place.refused_for()
    place.write("b")
    assert await place.look() == [["b"]]
    assert place.refused_for() == ""


async def test_a_file_that_was_refused_and_is_as_before_again_is_in_force(place: Place) -> None:
    place.file.write_text("archiveTypes: [")
    await place.look()
    assert "not valid YAML" in place.refused_for()
    place.write("a")
    assert await place.look() == [["a"]]
    assert place.refused_for() == ""


async def test_of_many_mistakes_the_first_are_told(place: Place) -> None:
    place.file.write_text("archiveTypes:\n" + "  - {messageType: M, topic: t, uri: u, wrong: x}\n" * 4)
    await place.look()
    told = place.refused_for().split("; and ")
    assert told[0].count("archiveTypes[") == 5
    assert told[1].endswith(" more, which the log names")


async def test_what_the_reader_runs_into_ends_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash() -> Catalog:
        raise RecursionError

    monkeypatch.setattr(place.reload, "_load", crash)
    place.write("b")
    assert await place.look(3) == []
    assert place.refused_for() == "taking the file over failed unexpectedly (RecursionError); the log has more"


async def test_a_change_during_an_outage_of_the_database_is_applied_afterwards(place: Place) -> None:
    place.write("b")
    place.applied.away = True
    await place.look(1)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await place.look(1)
    assert place.keys() == ["b"]
    place.applied.away = False
    assert await place.look(3) == [["b"]]


async def test_what_cannot_be_applied_is_refused_and_the_former_stays_in_force(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.write("a", "b")
    place.applied.broken = True
    await place.look()
    assert place.keys() == ["a"]
    assert "not taken over, the former ones stay in force" in caplog.text
    assert place.refused_for() == "taking the file over failed unexpectedly (ValueError); the log has more"
    place.applied.broken = False
    place.write("a", "c")
    assert await place.look() == [["a", "c"]]
    assert place.keys() == ["a", "c"]
