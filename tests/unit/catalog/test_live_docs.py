"""docs/live.md is true: each example is read without a mistake, and decides as the page says."""

import re
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.catalog.archive_types import Catalog, load_archive_types
from app.catalog.registry import load_registry
from app.domain.archive_types import SchemaName
from app.domain.exact_json import read_json
from app.domain.jobs import Reference
from app.domain.live import WantedArtifact
from app.live.decide import decide

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/live.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(archiveTypes:\n.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
MESSAGE = read_json(re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0].encode())
REGISTRY = load_registry(ROOT / "contracts" / "archive-types")
DECREE = Reference("4711", 3)


@pytest.fixture(autouse=True)
def _functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python module of the page can be imported."""
    name, text = re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0]
    (tmp_path / name).write_text(f"# {name}\n{text}")
    monkeypatch.syspath_prepend(str(tmp_path))


def loaded(text: str, folder: Path) -> Catalog:
    file = folder / "types.yml"
    file.write_text(text)
    return load_archive_types(file, {"example-source"}, False)


def example(part: str, folder: Path) -> list[WantedArtifact | None]:
    """What the configurations of the one example with this text want of the message of the page."""
    [text] = [each for each in EXAMPLES if part in each]
    return [decide(each, MESSAGE, REGISTRY.encode_avro) for each in loaded(text, folder).configurations]


def test_all_examples_are_live_archive_types(tmp_path: Path) -> None:
    assert len(EXAMPLES) >= 7
    for text in EXAMPLES:
        assert all(each.is_live for each in loaded(text, tmp_path).configurations), text


def test_a_source_that_has_the_data(tmp_path: Path) -> None:
    text = next(each for each in EXAMPLES if "payload" not in each and "condition" not in each)
    [found] = loaded(text, tmp_path).configurations
    assert decide(found, MESSAGE, REGISTRY.encode_avro) == WantedArtifact(DECREE, "P-2024-0815", None)


def test_a_part_of_the_message(tmp_path: Path) -> None:
    [found] = example("DecreePayload", tmp_path)
    assert found is not None
    assert found.reference == DECREE
    assert found.payload is not None
    assert read_json(found.payload.content) == MESSAGE["payload"]


def test_a_new_document_in_avro(tmp_path: Path) -> None:
    [found] = example("decreeNumber", tmp_path)
    assert found is not None
    assert found.payload is not None
    schema = SchemaName("DEMO", "DecreeDocument", 1)
    assert (found.payload.schema, found.payload.content_type) == (schema, "avro/binary")
    assert REGISTRY.payload_mistake(schema, "avro/binary") is None
    assert REGISTRY.problem(found.payload.content, "avro/binary", schema) is None
    assert REGISTRY.values(found.payload.content, "avro/binary", schema, checked=True) == {
        "decreeNumber": "4711",
        "version": 3,
        "issued": "2024-01-31",
        "status": "ISSUED",
        "customer": {"id": "C-7", "name": "Ada"},
        "paragraphs": ["One.", "Two."],
        "scan": None,
    }


def test_conditions_that_hold_for_the_message_and_each_of_which_can_fail(tmp_path: Path) -> None:
    [text] = [each for each in EXAMPLES if "condition:\n" in each]
    [configuration] = loaded(text, tmp_path).configurations
    assert decide(configuration, MESSAGE, REGISTRY.encode_avro) is not None
    payload: dict[str, Any]
    for payload in (
        {"kind": "draft"},
        {"customer": {"id": "C-7 "}},
        {"revoked": True},
        {"draftOf": "4710"},
    ):
        changed = {**MESSAGE, "payload": {**MESSAGE["payload"], **payload}}
        assert decide(configuration, changed, REGISTRY.encode_avro) is None, payload
    assert decide(configuration, {**MESSAGE, "type": {"version": "2.0.0"}}, REGISTRY.encode_avro) is None


def test_the_process_and_no_event(tmp_path: Path) -> None:
    assert example("announce: false", tmp_path) == [WantedArtifact(DECREE, "C-7", None, announce=False)]


def test_two_artifacts_of_one_message(tmp_path: Path) -> None:
    document, event = example("DecreeEvent", tmp_path)
    assert document is not None
    assert event is not None
    assert document.payload is None
    assert event.reference == Reference("5c6f3b1e-6f0a-4b3e-9a55-0c6a4f4d8f10")
    assert event.payload is not None
    assert read_json(event.payload.content) == MESSAGE


def test_python_functions(tmp_path: Path) -> None:
    [found] = example("decree_rules", tmp_path)
    assert found is not None
    assert found.reference == Reference("DECREE-4711", 3)
    assert found.process_id == "2024-0815"
    assert found.payload is not None
    assert found.payload.content == b'{"text":"One. Two.","title":"Decree on examples"}'
    [text] = [each for each in EXAMPLES if "decree_rules" in each]
    [configuration] = loaded(text, tmp_path).configurations
    short = {**MESSAGE, "payload": {"parts": [{"text": "One."}]}}
    assert decide(configuration, short, REGISTRY.encode_avro) is None


def test_other_pages_show_archive_types_that_can_be_read(tmp_path: Path) -> None:
    numbers = count()
    for page in (ROOT / "docs").glob("*.md"):
        for text in re.findall(r"^```yaml\n(archiveTypes:\n.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
            next(numbers)
            clients = {each.get("oauthClientId") for each in yaml.safe_load(text)["archiveTypes"]} - {None}
            file = tmp_path / "types.yml"
            file.write_text(text)
            assert load_archive_types(file, clients, False).configurations, page
    assert next(numbers) > len(EXAMPLES)
