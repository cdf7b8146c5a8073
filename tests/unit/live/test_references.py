"""References and process ids of messages: the rules of submitted references, and nothing that has to be guessed."""

from decimal import Decimal
from typing import Any

import pytest

from app.domain.errors import InvalidMessage
from app.domain.jobs import Reference
from tests.unit.live.live_types import MESSAGE, URI, decided, wanted

VERSIONED_URI = "uri: 'https://x.example/{id}?version={version}'"
WITH_VERSION = "reference: {id: references.decree.id, version: references.decree.version}"


def about(identifier: Any = "D-1", version: Any = 3) -> dict[str, Any]:
    return {**MESSAGE, "references": {"decree": {"id": identifier, "version": version}}}


def reason(*keys: str, message: dict[str, Any]) -> str:
    with pytest.raises(InvalidMessage) as caught:
        decided(*keys, message=message)
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("D-1", "D-1"),
        (" ä/ö ?&=+% ", " ä/ö ?&=+% "),
        ("0123", "0123"),
        ("x" * 512, "x" * 512),
        (7, "7"),
        (0, "0"),
        (-5, "-5"),
        (10**30, "1" + "0" * 30),
        (Decimal(12345678901234567890), "12345678901234567890"),
    ],
)
def test_an_id_is_text_or_a_whole_number(value: Any, text: str) -> None:
    assert wanted(URI, message=about(value)).reference == Reference(text)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "is not there"),
        ("", "is blank"),
        ("  ", "is blank"),
        ("secret" + "x" * 600, "has 606 characters, at most 512 are allowed"),
        ("secret\x07", "contains the control character U+0007; leave it out"),
        ("secret\x00", "contains the control character U+0000; leave it out"),
        ("secret\ud83d", "contains half of a surrogate pair, which has no UTF-8"),
        (".", "cannot be an id: it would change the path of the source's address"),
        ("..", "cannot be an id: it would change the path of the source's address"),
        (1.0, "is a number with a fraction, not text or a whole number"),
        (1e300, "is a number with a fraction, not text or a whole number"),
        (Decimal("1.0"), "is a number with a fraction or very many digits, not text or a whole number"),
        (Decimal("1e9999999"), "is a number with a fraction or very many digits, not text or a whole number"),
        (10**700, "is a number with more than 512 digits"),
        (10**550, "has 551 characters, at most 512 are allowed"),
        (True, "is true or false, not text or a whole number"),
        (["secret"], "is a list, not text or a whole number"),
        ({"secret": 1}, "is an object, not text or a whole number"),
    ],
)
def test_an_id_that_no_job_could_have_makes_a_dead_letter(value: Any, said: str) -> None:
    found = reason(URI, message=about(value))
    assert found == f"M: reference.id: references.decree.id {said}"
    assert "secret" not in found


@pytest.mark.parametrize("version", [1, 2**31 - 1, Decimal(7)])
def test_a_version_goes_to_a_source_that_has_versions(version: Any) -> None:
    found = wanted(VERSIONED_URI, WITH_VERSION, message=about(version=version))
    assert found.reference == Reference("D-1", int(version))
    assert type(found.reference.version) is int


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "is not there"),
        (0, "is not a number from 1 to 2147483647"),
        (2**31, "is not a number from 1 to 2147483647"),
        (-1, "is not a number from 1 to 2147483647"),
        ("1", "is text, not a whole number"),
        (1.0, "is a number with a fraction, not a whole number"),
        (True, "is true or false, not a whole number"),
    ],
)
def test_a_version_that_no_job_could_have_makes_a_dead_letter(value: Any, said: str) -> None:
    message = about(version=value)
    expected = f"M: reference.version: references.decree.version {said}"
    assert reason(VERSIONED_URI, WITH_VERSION, message=message) == expected
    assert reason(WITH_VERSION, message=message) == expected, "data in the message, whose configuration names versions"


def test_data_in_the_message_has_a_version_where_the_configuration_names_one() -> None:
    assert wanted(WITH_VERSION).reference == Reference("D-1", 3)
    assert wanted().reference == Reference("D-1", None)


@pytest.mark.parametrize(
    ("value", "process"),
    [("P-1", "P-1"), (7, "7"), (None, None), ("", None), (" ", None), ("..", ".."), (" p", " p")],
)
def test_the_process_is_the_one_of_the_message(value: Any, process: str | None) -> None:
    assert wanted(URI, message={**MESSAGE, "processId": value}).process_id == process


def test_the_process_may_be_elsewhere_in_the_message() -> None:
    message = {**MESSAGE, "payload": {"process": {"id": "other"}}}
    assert wanted(URI, "processId: payload.process.id", message=message).process_id == "other"
    assert wanted(URI, "processId: payload.process.id").process_id is None


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("secret" * 100, "has 600 characters, at most 512 are allowed"),
        ("secret\n", "contains the control character U+000A; leave it out"),
        ("secret\udc00", "contains half of a surrogate pair, which has no UTF-8"),
        (1.5, "is a number with a fraction, not text or a whole number"),
        (["secret"], "is a list, not text or a whole number"),
        (False, "is true or false, not text or a whole number"),
    ],
)
def test_a_process_that_cannot_be_one_makes_a_dead_letter(value: Any, said: str) -> None:
    assert reason(URI, message={**MESSAGE, "processId": value}) == f"M: processId: processId {said}"
