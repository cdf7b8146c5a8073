"""Finds the present archive type configuration of a task, which says where its data is."""

from app.catalog.archive_types import Catalog, ResolveError
from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.errors import PermanentFailure, task_message
from app.domain.jobs import Reference
from app.sources.pacing import source_key

STEP = "Unknown archive type configuration"


def resolve(catalog: Catalog, message: str, config_id: str | None, reference: Reference) -> ArchiveTypeConfiguration:
    """Raises PermanentFailure when the configuration does not exist any more, or no longer fits the references of the
    job."""
    try:
        configuration = catalog.resolve(message, config_id)
    except ResolveError as error:
        raise PermanentFailure(task_message(STEP, str(error))) from error
    if configuration.is_versioned is (reference.version is None):
        problem = "asks for a version now, the reference has none"
        if reference.version is not None:
            problem = "takes no version now, the reference has one"
        raise PermanentFailure(task_message(STEP, f"that of message {message} {problem}"))
    return configuration


def config_id_of(catalog: Catalog, message: str, config_id: str | None) -> str | None:
    """The present id of the configuration: it may have got an id after the job was submitted."""
    try:
        return catalog.resolve(message, config_id).id
    except ResolveError:
        return config_id


def source_of(catalog: Catalog, message: str, config_id: str | None) -> str:
    """The source (`scheme://host:port`) that a task will ask; "" when its configuration cannot be found."""
    try:
        configuration = catalog.resolve(message, config_id)
    except ResolveError:
        return ""
    return "" if configuration.uri is None else source_key(configuration.uri)
