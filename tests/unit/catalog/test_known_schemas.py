"""What is said of a schema that the registry does not have."""

import pytest

from app.catalog.known_schemas import unknown_schema
from app.domain.archive_types import SchemaName

KNOWN = [
    SchemaName("PSF", "OsvRecord", 1),
    SchemaName("PSF", "OsvRecord", 2),
    SchemaName("PSF", "Advisory", 1),
    SchemaName("DEMO", "DecreeDocument", 7),
]


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (SchemaName("PSF", "OsvRecord", 3), "there are versions 2, 1"),
        (SchemaName("DEMO", "DecreeDocument", 1), "there is version 7"),
        (SchemaName("PSF", "OsvRecrd", 1), "system PSF has OsvRecord, Advisory"),
        (SchemaName("PSF", "advisories", 1), "system PSF has Advisory, OsvRecord"),
        (SchemaName("psf", "OsvRecord", 1), "there are PSF/OsvRecord, PSF/Advisory, DEMO/DecreeDocument"),
        (SchemaName("DMO", "DecreeDocument", 1), "there are DEMO/DecreeDocument, PSF/OsvRecord, PSF/Advisory"),
    ],
)
def test_what_there_is_is_said_the_nearest_first(schema: SchemaName, said: str) -> None:
    assert unknown_schema(schema, KNOWN) == f"Unknown archive data schema {schema}; {said}"


def test_an_empty_registry_is_said_to_be_empty() -> None:
    said = unknown_schema(SchemaName("PSF", "Foo", 3), [])
    assert said == "Unknown archive data schema PSF/Foo version 3; the registry has none"


def test_many_are_counted() -> None:
    known = [SchemaName("PSF", f"Type{number}", 1) for number in range(500)]
    assert unknown_schema(SchemaName("PSF", "Record", 1), known).endswith(" and 490 more")
    versions = [SchemaName("PSF", "Record", number) for number in range(1, 500)]
    said = unknown_schema(SchemaName("PSF", "Record", 1_000), versions)
    assert said.endswith("there are versions 499, 498, 497, 496, 495, 494, 493, 492, 491, 490 and 489 more")


def test_a_message_is_never_longer_than_a_task_may_have() -> None:
    long = "x" * 255
    known = [SchemaName(long, f"{'y' * 97}{number:03}", 1) for number in range(30)]
    for schema in (SchemaName(long, long, 1), SchemaName("a", "b", 1), SchemaName(long, long, 2**31 - 1)):
        said = unknown_schema(schema, known)
        assert len(said) <= 1_000
        assert " more" in said
    very_long = [SchemaName("x" * 600, "y" * 600, 1)]
    assert unknown_schema(SchemaName("a", "b", 1), very_long).endswith("; there are 1, with long names")
