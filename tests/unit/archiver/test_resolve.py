"""From a task to its configuration as it is now; what changed since the job was submitted is named."""

import pytest

from app.archiver.resolve import config_id_of, resolve, source_of
from app.catalog.archive_types import Catalog
from app.domain.errors import PermanentFailure
from app.domain.jobs import Reference
from tests.support.core import MESSAGE, configuration

PLAIN, VERSIONED = Reference("doc"), Reference("doc", 3)


def catalog(*configurations: dict[str, object]) -> Catalog:
    return Catalog(tuple(configuration(**each) for each in configurations or ({},)))


def test_a_task_finds_its_configuration() -> None:
    two = catalog({"id": "a"}, {"id": "b", "uri": "https://source/{id}/{version}"})
    assert resolve(two, MESSAGE, "a", PLAIN).id == "a"
    assert resolve(two, MESSAGE, "b", VERSIONED).id == "b"


@pytest.mark.parametrize(
    ("configured", "config_id", "reference", "cause"),
    [
        (catalog({"message_type": "Other"}), None, PLAIN, f"no archive type is configured for message {MESSAGE}"),
        (catalog({"id": "a"}, {"id": "b"}), None, PLAIN, f"message {MESSAGE} has several configurations"),
        (catalog({"id": "a"}), "gone", PLAIN, f"message {MESSAGE} has no configuration with config-id gone"),
        (catalog({"uri": None}), None, PLAIN, f"archive type {MESSAGE} is not remote-data"),
        (catalog({}), None, VERSIONED, f"that of message {MESSAGE} takes no version now, the reference has one"),
        (catalog({"uri": "https://s/{id}?v={version}"}), None, PLAIN, "asks for a version now, the reference has none"),
    ],
)
def test_a_configuration_that_is_gone_or_fits_no_more_fails_the_task(
    configured: Catalog, config_id: str | None, reference: Reference, cause: str
) -> None:
    with pytest.raises(PermanentFailure) as failure:
        resolve(configured, MESSAGE, config_id, reference)
    assert failure.value.message.startswith("Unknown archive type configuration: ")
    assert cause in failure.value.message


def test_a_job_of_before_gets_the_id_that_its_configuration_has_now() -> None:
    assert config_id_of(catalog({"id": "new"}), MESSAGE, None) == "new"
    assert config_id_of(catalog({"id": "a"}, {"id": "b"}), MESSAGE, None) is None
    assert config_id_of(catalog({"id": "a"}), MESSAGE, "gone") == "gone"


def test_the_lane_of_a_task_is_the_source_that_it_asks() -> None:
    assert source_of(catalog(), MESSAGE, None) == "https://source:443"
    assert source_of(catalog({"uri": None}), MESSAGE, None) == ""
    assert source_of(Catalog(()), MESSAGE, None) == ""
