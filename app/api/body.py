"""Reads the body of a request up to a limit: what is too large is refused before or while it comes."""

from collections.abc import Sequence

from fastapi import Request

from app.api.problems import ApiProblem


async def read_body(request: Request, limit: int, media_types: Sequence[str]) -> bytes:
    """The body. Raises ApiProblem 415 for another media type, 413 for more than `limit` bytes, announced or sent."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in media_types:
        given = f"not {media_type[:80]}" if media_type else "and none was given"
        raise ApiProblem(415, f"The body must be {' or '.join(media_types)}, {given}.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ApiProblem(415, "The body must be sent without Content-Encoding.")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise too_large(limit)
    body = bytearray()
    async for chunk in request.stream():
        if len(body) + len(chunk) > limit:
            raise too_large(limit)
        body += chunk
    return bytes(body)


def too_large(limit: int) -> ApiProblem:
    return ApiProblem(413, f"The body is larger than {limit} bytes; split the job.", headers={"Connection": "close"})
