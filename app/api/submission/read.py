"""The YAML body of a submission: its documentation, and reading it with all its mistakes."""

from typing import Any

from app.api.http.problems import ApiProblem, try_later
from app.api.submission.body import Parsed
from app.api.submission.reader import ReadingFailed, YamlReader
from app.api.submission.scalars import listed
from app.jobs.submit import DoesNotFit, Submissions

MEDIA_TYPES = ("application/yaml", "application/x-yaml")

EXAMPLE = """\
message: JmeDecreeDocumentCreatedEvent
topic: jme-process-archive-decreedocumentcreated
archiveDataReferences:
  - id: DOC-2024-001
    version: 1
"""

IN_ONE_LINE = (
    "{message: JmeDecreeDocumentCreatedEvent, topic: jme-process-archive-decreedocumentcreated, "
    "archiveDataReferences: [{id: DOC-2024-001, version: 1}]}"
)
"""The same."""

SUBMISSION_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["message", "topic", "archiveDataReferences"],
    "additionalProperties": False,
    "properties": {
        "message": {"type": "string", "description": "name of the configured message"},
        "topic": {"type": "string", "description": "its topic, as configured"},
        "config-id": {"type": "string", "description": "selects among several configurations of one message"},
        "num-of-retry": {"type": "integer", "minimum": 0, "maximum": 10},
        "name": {
            "type": "string",
            "minLength": 1,
            "maxLength": 255,
            "description": "what people call the job; not compared when the same job is submitted again",
        },
        "archiveDataReferences": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["id"],
                "additionalProperties": False,
                "properties": {
                    "id": {"type": "string", "minLength": 1, "maxLength": 512},
                    "version": {"type": "integer", "minimum": 1, "maximum": 2147483647},
                },
            },
        },
    },
}

REQUEST_BODY: dict[str, Any] = {
    "required": True,
    "content": {media: {"schema": SUBMISSION_SCHEMA, "example": EXAMPLE} for media in MEDIA_TYPES},
}


async def read_submission(
    reader: YamlReader, submissions: Submissions, body: bytearray, max_references: int, *, warn: bool = False
) -> Parsed:
    """A body without mistakes, with warnings where `warn` asks for them.

    Raises ApiProblem 400 with every mistake, also those against the configuration; 413 for too many references; 503.
    """
    try:
        content = await reader.read(body, max_references, warn=warn)
    except ReadingFailed as error:
        raise try_later("The body could not be read now; send the same again.") from error
    if content.too_many:
        raise ApiProblem(413, f"A job may have at most {max_references} references; split it.")
    if content.mistakes:
        mistakes = listed([*content.mistakes, *submissions.mistakes(content)])
        raise ApiProblem(400, "The submission has mistakes.", errors=mistakes)
    return content


def unfit(error: DoesNotFit) -> ApiProblem:
    return ApiProblem(400, "The submission does not fit the configuration.", errors=listed(error.mistakes))
