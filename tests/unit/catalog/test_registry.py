"""The registry: descriptors, what is refused at start, and the messages of documents that do not match."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.catalog.archive_types import CatalogError
from app.catalog.lanes import LARGE_DOCUMENT
from app.catalog.registry import Registry, load_registry, registry_of
from app.domain.archive_types import SchemaName
from app.domain.errors import PermanentFailure

ROOT = Path(__file__).parents[3]
OSV = SchemaName("PSF", "OsvRecord", 1)
DECREE = SchemaName("DEMO", "DecreeDocument", 1)
DESCRIPTOR: dict[str, Any] = {
    "archiveType": "Thing",
    "system": "Sys",
    "referenceIdType": "org.example.Thing",
    "expirationDays": 30,
    "versions": [{"version": 1, "schema": "Thing_v1.schema.json"}],
}


@pytest.fixture(scope="module")
def real() -> Iterator[Registry]:
    registry = load_registry(ROOT / "contracts" / "archive-types")
    yield registry
    registry.close()


def write(root: Path, files: dict[str, Any]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return root


def thing(root: Path, schema: Any, **changes: Any) -> Path:
    descriptor = {key: value for key, value in {**DESCRIPTOR, **changes}.items() if value is not None}
    return write(root, {"sys/thing/Thing.json": descriptor, "sys/thing/Thing_v1.schema.json": schema})


def mistakes(root: Path) -> list[str]:
    with pytest.raises(CatalogError) as caught:
        load_registry(root)
    return caught.value.mistakes


def failure(registry: Registry, document: bytes, schema: SchemaName, content_type: str = "application/json") -> str:
    with pytest.raises(PermanentFailure) as caught:
        registry.check(document, content_type, schema)
    return caught.value.message


def test_all_real_documents_are_valid(real: Registry) -> None:
    documents = sorted((ROOT / "examples" / "source" / "documents").glob("*.json"))
    assert len(documents) == 132
    for path in documents:
        real.check(path.read_bytes(), "application/json", OSV)


def test_the_types_of_the_repository_are_found_by_their_exact_names(real: Registry) -> None:
    found = real.find(OSV)
    assert found is not None
    assert (found.reference_id_type, found.expiration_days) == ("org.python.advisory.OsvRecord", 90)
    assert found.lifecycle_policy == "PSF_OsvRecord_90_90"
    assert found.schema_object_key == "archive-data-schema/PSF_OsvRecord_1.schema.json"
    path = ROOT / "contracts/archive-types/psf/osvrecord/OsvRecord_v1.schema.json"
    assert found.file.content == path.read_bytes()
    assert real.find(SchemaName("psf", "OsvRecord", 1)) is None
    assert {each.schema for each in real.types()} == {OSV, DECREE}


def test_a_mismatch_has_the_message_of_the_contract(real: Registry) -> None:
    document = b'{"id":"PSF-1","modified":"2020-01-01T00:00:00Z","affected":[{"ranges":"SECRET"}]}'
    assert failure(real, document, OSV) == (
        "Archive data does not match schema PSF/OsvRecord version 1: $.affected[0].ranges: must be array"
    )
    assert failure(real, b"SECRET", OSV) == (
        "Archive data does not match schema PSF/OsvRecord version 1: not valid JSON (line 1, column 1)"
    )
    assert failure(real, b"\x00", DECREE, "avro/binary") == (
        "Archive data does not match schema DEMO/DecreeDocument version 1: $.version: the document ends too early"
    )


def test_an_unknown_schema_has_the_message_of_the_contract(real: Registry) -> None:
    assert failure(real, b"{}", SchemaName("PSF", "Foo", 3)) == (
        "Unknown archive data schema PSF/Foo version 3; system PSF has OsvRecord"
    )
    assert failure(real, b"{}", OSV._replace(version=2)) == (
        "Unknown archive data schema PSF/OsvRecord version 2; there is version 1"
    )


def test_the_content_type_must_be_one_the_schema_describes(real: Registry) -> None:
    document = (ROOT / "examples/source/documents/PSF-2007-1.json").read_bytes()
    for good in ("application/json", "Application/JSON; charset=utf-8", "application/osv+json"):
        real.check(document, good, OSV)
    for bad in ("avro/binary", "text/json", "application/jsonx", "+json", "", "application/xml"):
        text = failure(real, document, OSV, bad)
        assert text.startswith("Archive data does not match schema PSF/OsvRecord version 1: ")
        assert "content type" in text
    assert "content type application/json" in failure(real, b"\x00", DECREE)


async def test_documents_of_an_unknown_schema_need_no_worker() -> None:
    registry = load_registry(ROOT / "contracts" / "archive-types")
    with pytest.raises(PermanentFailure, match="Unknown archive data schema"):
        await registry.check_async(b" " * 2 * LARGE_DOCUMENT, "application/json", OSV._replace(version=9))
    registry.close()


def test_all_mistakes_are_reported_at_once_with_file_and_key(tmp_path: Path) -> None:
    thing(
        tmp_path,
        {"type": "strin"},
        system="other",
        expirationDays=0,
        referenceIdType=" ",
        encryption={},
        expiratonDays=3,
        versions=[
            {"version": 1, "schema": "Thing_v1.schema.json"},
            {"version": 1, "schema": "../x.avsc"},
            {"version": "2", "schema": "Thing.avdl"},
            {"version": 3, "schema": "missing.avsc", "encryptionKey": "k"},
        ],
    )
    write(tmp_path, {"sys/Upper/x.txt": "", "sys/broken/Broken.json": "{,"})
    found = mistakes(tmp_path)
    for said in (
        "sys/thing/Thing.json: system: other does not fit the folder name sys",
        "sys/thing/Thing.json: expirationDays: must be a whole number from 1 to 36,500",
        "sys/thing/Thing.json: referenceIdType: must be text",
        "sys/thing/Thing.json: encryption: encryption is not built yet; data meant to be encrypted",
        "sys/thing/Thing.json: expiratonDays: unknown key, did you mean expirationDays?",
        "sys/thing/Thing_v1.schema.json: not a valid JSON Schema: $.type",
        "sys/thing/Thing.json: versions[1].version: 1 stands twice",
        "sys/thing/Thing.json: versions[1].schema: must be the name of a file in this folder",
        "sys/thing/Thing.json: versions[2].version: must be a whole number",
        "sys/thing/Thing.json: versions[2].schema: Thing.avdl: convert it",
        "sys/thing/missing.avsc: cannot be read",
        "sys/thing/Thing.json: versions[3].encryptionKey: encryption is not built yet",
        "sys/Upper: folder names are in lower case",
        "sys/Upper: no descriptor",
        "sys/broken/Broken.json: not valid JSON",
    ):
        assert any(line.startswith(said) for line in found), (said, found)
    assert len(found) == 15


@pytest.mark.parametrize("key", ["description", "referenceIdType"])
def test_half_a_surrogate_pair_is_refused_in_a_descriptor(tmp_path: Path, key: str) -> None:
    assert "Thing.json: a text has half of a surrogate pair" in mistakes(thing(tmp_path, {}, **{key: "a\ud800"}))[0]


@pytest.mark.parametrize("schema", [{"pattern": "[\udfff]"}, {"properties": {"\ud800": {}}}, {"title": "\udc00x"}])
def test_half_a_surrogate_pair_is_refused_in_a_schema(tmp_path: Path, schema: Any) -> None:
    assert "Thing_v1.schema.json: a text has half of a surrogate pair" in mistakes(thing(tmp_path, schema))[0]


@pytest.mark.parametrize("days", [0, -1, 36_501, 1.5, "90", True, None])
def test_retention_is_a_number_of_whole_days(tmp_path: Path, days: Any) -> None:
    assert "expirationDays" in mistakes(thing(tmp_path, {}, expirationDays=days))[0]


def test_a_descriptor_is_named_like_its_type(tmp_path: Path) -> None:
    assert "archiveType" in mistakes(thing(tmp_path, {}, archiveType="thing"))[0]
    assert mistakes(tmp_path / "nowhere") == [f"{tmp_path}/nowhere: the registry of archive data types is not there"]


def test_keys_of_the_java_service_are_accepted(tmp_path: Path) -> None:
    versions = [{"version": 1, "schema": "Thing_v1.schema.json", "compatibleVersion": 1, "compatibilityMode": "NONE"}]
    assert load_registry(thing(tmp_path, {}, compatibilityMode="BACKWARD", versions=versions)).types()


def test_a_reference_is_resolved_inside_the_registry_and_stored_with_the_schema(tmp_path: Path) -> None:
    schema = {
        "properties": {
            "home": {"$ref": "../_common/address.schema.json#/$defs/address"},
            "price": {"$ref": "https://example.org/money"},
        }
    }
    write(
        thing(tmp_path, schema),
        {
            "sys/_common/address.schema.json": {"$defs": {"address": {"required": ["street"]}}},
            "_common/money.schema.json": {"$id": "https://example.org/money", "type": "integer"},
        },
    )
    registry = load_registry(tmp_path)
    name = SchemaName("Sys", "Thing", 1)
    assert failure(registry, b'{"home":{}}', name).endswith("$.home: required property 'street' is missing")
    assert failure(registry, b'{"price":"x"}', name).endswith("$.price: must be integer")
    (data_type,) = registry.types()
    stored = json.loads(data_type.file.content)
    assert set(stored["$defs"]) == {"registry:///sys/_common/address.schema.json", "https://example.org/money"}
    assert load_registry(tmp_path).types() == (data_type,)
    in_worker = registry_of(registry.types()).problem
    assert in_worker(b'{"home":{"street":1},"price":2}', "application/json", name) is None
    assert str(in_worker(b'{"home":{}}', "application/json", name)).endswith("'street' is missing")


@pytest.mark.parametrize(
    "reference", ["https://example.org/far.json", "../../../../etc/passwd", "file:///etc/passwd", "missing.schema.json"]
)
def test_a_reference_never_leaves_the_registry(tmp_path: Path, reference: str) -> None:
    (line,) = mistakes(thing(tmp_path, {"$ref": reference}))
    assert line.startswith("sys/thing/Thing_v1.schema.json: ")
    assert "not in the registry" in line


def test_a_link_out_of_the_registry_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside.schema.json"
    outside.write_text("{}")
    root = thing(tmp_path / "registry", {"$ref": "link.schema.json"})
    (root / "sys" / "thing" / "link.schema.json").symlink_to(outside)
    assert "not in the registry" in mistakes(root)[0]
