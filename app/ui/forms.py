"""Forms that browsers send: read whole, and refused where another site may have sent them."""

import hmac
from urllib.parse import parse_qsl, urlsplit

from fastapi import Request

from app.api.http.bodies import read_body
from app.api.http.problems import ApiProblem
from app.ui.operator import Operator

SMALL = 32 * 1024
"""Bytes of a form of few fields; a cause has up to 1,000 characters, each up to 12 bytes."""

MEDIA_TYPE = "application/x-www-form-urlencoded"

TOKEN = "token"  # noqa: S105 - the name of a field
"""The field with the token against forgery."""


def refuse_other_sites(request: Request) -> None:
    """Raises ApiProblem 403 where the browser says that another site sent this; older browsers say only the origin."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is None and origin is not None:
        site = "same-origin" if urlsplit(origin).netloc == request.headers.get("host") else "another"
    if site not in (None, "same-origin"):
        raise ApiProblem(403, "This form was sent by another site.")


async def read_form(request: Request, operator: Operator) -> dict[str, str]:
    """The fields, those that are empty left out. Raises ApiProblem: 403 without the token against forgery."""
    refuse_other_sites(request)
    return fields_of(await read_body(request, SMALL, [MEDIA_TYPE]), operator)


def fields_of(body: bytes | bytearray, operator: Operator) -> dict[str, str]:
    """As `read_form`, of a body that was read."""
    try:
        fields = dict(parse_qsl(body.decode(), strict_parsing=bool(body), encoding="utf-8", errors="strict"))
    except ValueError:
        raise ApiProblem(400, "The form cannot be read.") from None
    if not hmac.compare_digest(fields.pop(TOKEN, "").encode(), operator.forgery_token.encode()):
        raise ApiProblem(403, "The form is not of this session: reload the page, then send it again.")
    return fields
