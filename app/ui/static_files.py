"""The files that come with the page: style sheet, script, sign. Their addresses change with their content."""

from functools import cache
from hashlib import sha256
from pathlib import Path

from fastapi import APIRouter, Response

from app.api.http.problems import ApiProblem

FOLDER = Path(__file__).parent / "static"

TYPES = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "sign.svg": "image/svg+xml",
}

router = APIRouter(include_in_schema=False)


@cache
def content_of(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


@cache
def address_of_static(name: str) -> str:
    """With a part of the hash of the file: a browser keeps it for as long as it is this one."""
    return f"/ui/static/{sha256(content_of(name)).hexdigest()[:12]}/{name}"


@router.get("/ui/static/{version}/{name}")
async def static_file(version: str, name: str) -> Response:
    """An older version is answered with the present file, which is not kept then."""
    if name not in TYPES:
        raise ApiProblem(404, "There is no such file.")
    present = address_of_static(name) == f"/ui/static/{version}/{name}"
    keep = "public, max-age=31536000, immutable" if present else "no-store"
    return Response(
        content_of(name), headers={"Cache-Control": keep, "X-Content-Type-Options": "nosniff"}, media_type=TYPES[name]
    )


@router.get("/favicon.ico")
async def sign() -> Response:
    """What browsers ask for where an answer names no sign, as JSON does."""
    headers = {"Cache-Control": "public, max-age=86400", "X-Content-Type-Options": "nosniff"}
    return Response(content_of("sign.svg"), headers=headers, media_type=TYPES["sign.svg"])
