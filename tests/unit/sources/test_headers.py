"""Headers of an answer become a description; what is wrong is named."""

from datetime import UTC, datetime

import pytest

from app.domain.archive_types import SchemaName
from app.domain.errors import PermanentFailure
from app.sources.headers import describe, retry_after

GOOD = {
    "Content-Type": b"application/json",
    "Archive-Data-System": b"PSF",
    "Archive-Data-Schema": b"OsvRecord",
    "Archive-Data-Schema-Version": b"1",
}
NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


def raw(*more: tuple[str, bytes], **changed: bytes) -> list[tuple[bytes, bytes]]:
    named = GOOD | {name.replace("_", "-"): value for name, value in changed.items()}
    return [(name.encode(), value) for name, value in (*named.items(), *more)]


def message(headers: list[tuple[bytes, bytes]]) -> str:
    with pytest.raises(PermanentFailure) as failure:
        describe(headers)
    return failure.value.message.removeprefix("Failed reading artifact from source service: ")


@pytest.mark.parametrize("name", GOOD)
def test_a_required_header_that_is_missing_or_empty_is_named(name: str) -> None:
    assert message([header for header in raw() if header[0] != name.encode()]) == f"header {name} is missing"
    assert message(raw(**{name: b"  "})) == f"header {name} is missing"


@pytest.mark.parametrize("version", [b"1", b"17", b"2147483647", b"007"])
def test_a_schema_version_is_an_integer_from_1(version: bytes) -> None:
    assert describe(raw(Archive_Data_Schema_Version=version)).schema.version == int(version)


@pytest.mark.parametrize("version", [b"0", b"-1", b"+1", b"1.0", b"1e3", b"v1", b"2147483648", "١".encode(), b"1 2"])
def test_another_schema_version_is_refused(version: bytes) -> None:
    expected = f"header Archive-Data-Schema-Version is not an integer from 1: {version.decode()}"
    assert message(raw(Archive_Data_Schema_Version=version)) == expected


def test_a_long_or_unprintable_schema_version_is_not_repeated() -> None:
    plain = "header Archive-Data-Schema-Version is not an integer from 1"
    assert message(raw(Archive_Data_Schema_Version=b"9" * 5000)) == plain
    assert message(raw(Archive_Data_Schema_Version="\u202e1".encode())) == plain


def test_names_of_headers_are_read_in_any_case() -> None:
    lower = [(name.lower(), value) for name, value in raw(("ARCHIVE-METADATA-Order-ID", b"1"))]
    assert describe(lower).schema == SchemaName("PSF", "OsvRecord", 1)
    assert describe(lower).metadata == (("order-id", "1"),)


def test_metadata_keeps_its_order_and_is_utf8_or_else_latin1() -> None:
    described = describe(
        raw(("Archive-Metadata-B", "Zoë 😀".encode()), ("Archive-Metadata-A", "Zoë".encode("latin-1")))
    )
    assert described.metadata == (("b", "Zoë 😀"), ("a", "Zoë"))


def test_metadata_that_stands_several_times_is_one_value() -> None:
    described = describe(raw(("Archive-Metadata-A", b"1"), ("Archive-Metadata-B", b""), ("archive-metadata-a", b"2")))
    assert described.metadata == (("a", "1, 2"), ("b", ""))


@pytest.mark.parametrize("name", [*GOOD, "Archive-Storage-Bucket", "Archive-Storage-Prefix"])
def test_other_headers_stand_once_or_say_the_same(name: str) -> None:
    same = [*raw(**{name: b"1"}), (name.lower().encode(), b" 1 ")]
    assert describe(same) == describe(raw(**{name: b"1"}))
    twice = [*raw(**{name: b"1"}), (name.lower().encode(), b"2")]
    assert message(twice) == f"header {name} is there more than once, with different values"


@pytest.mark.parametrize(
    "value",
    [
        b"application/json;\tcharset=utf-8",
        b"\tapplication/json; \t charset=utf-8\t",
        b"application/json;  charset=utf-8",
    ],
)
def test_tabs_are_as_good_as_blanks_in_a_content_type(value: bytes) -> None:
    assert describe(raw(Content_Type=value)).content_type == "application/json; charset=utf-8"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (b'application/json; \tx="a  b\tc";  y=1', 'application/json; x="a  b\tc"; y=1'),
        (b'application/json;  x="a \\"  b";\ty="  "', 'application/json; x="a \\"  b"; y="  "'),
        (b'application/json;  x="a\\\\";  y="  "', 'application/json; x="a\\\\"; y="  "'),
        (b'application/json;  x="  a', 'application/json; x="  a'),
        (b'application/json;  x="a\\', 'application/json; x="a\\'),
    ],
)
def test_blanks_and_tabs_in_quotes_are_of_the_value(value: bytes, kept: str) -> None:
    assert describe(raw(Content_Type=value)).content_type == kept


def test_a_content_type_with_many_quotes_is_read_in_no_time() -> None:
    value = b"application/json;  " + b'\\"' * 30_000
    assert describe(raw(Content_Type=value)).content_type == value.decode().replace(";  ", "; ")


def test_tabs_around_a_value_are_not_of_it() -> None:
    described = describe(raw(Archive_Data_Schema_Version=b"\t1 \t", Archive_Data_System=b"\tPSF"))
    assert (described.schema.version, described.schema.system) == (1, "PSF")


def test_control_characters_are_refused() -> None:
    assert message(raw(("Archive-Metadata-A", b"a\x0bb"))) == "header Archive-Metadata-a contains control characters"
    assert message(raw(("Archive-Metadata-", b"a"))) == "header Archive-Metadata- has no name"


def test_a_name_that_is_too_long_is_refused() -> None:
    assert "longer than 255" in message(raw(Archive_Data_System=b"x" * 256))


def test_an_empty_bucket_or_prefix_counts_as_absent() -> None:
    described = describe(raw(Archive_Storage_Bucket=b"", Archive_Storage_Prefix=b" "))
    assert (described.bucket, described.prefix) == (None, None)


def test_parameters_of_the_content_type_are_kept() -> None:
    described = describe(raw(Content_Type=b' application/json; charset="utf-8" '))
    assert described.content_type == 'application/json; charset="utf-8"'


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("0", 0),
        ("7", 7),
        (" 120 ", 120),
        ("9" * 5000, 86_400),
        ("Mon, 06 May 2024 07:08:39 GMT", 30),
        ("Monday, 06-May-24 07:08:39 GMT", 30),
        ("Mon May  6 07:08:39 2024", 30),
        ("Mon, 06 May 2024 07:00:00 GMT", 0),
        ("Mon, 06 May 2099 07:00:00 GMT", 86_400),
        ("Mon, 99 May 2024 07:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds
