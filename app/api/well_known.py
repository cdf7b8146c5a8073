"""The endpoint that says where one logs in (RFC 9728): open to everybody, as it is asked before there is a token."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from app.api.edge import TheEdge

router = APIRouter(tags=["operation"])

EXAMPLE: dict[str, Any] = {
    "resource": "https://pas.example.org",
    "authorization_servers": ["https://login.example.org/realms/pas"],
    "bearer_methods_supported": ["header"],
    "cli_client_id": "pas-cli",
}

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["resource", "authorization_servers", "bearer_methods_supported"],
    "properties": {
        "resource": {"type": "string", "description": "address of the service, as it was asked"},
        "authorization_servers": {
            "type": "array",
            "items": {"type": "string"},
            "description": "whose tokens are accepted",
        },
        "bearer_methods_supported": {"type": "array", "items": {"enum": ["header"]}},
        "cli_client_id": {"type": "string", "description": "client with which the command line logs in"},
    },
}


@router.get(
    "/.well-known/oauth-protected-resource",
    summary="Where does one log in?",
    responses={
        200: {
            "description": "Issuers, and the client of the command line where one is set.",
            "content": {"application/json": {"schema": SCHEMA, "example": EXAMPLE}},
        }
    },
)
async def protected_resource(request: Request, edge: TheEdge) -> JSONResponse:
    """OAuth 2.0 protected resource metadata (RFC 9728)."""
    metadata: dict[str, Any] = {
        "resource": str(request.base_url).rstrip("/"),
        "authorization_servers": list(edge.issuers),
        "bearer_methods_supported": ["header"],
    }
    if edge.cli_client_id is not None:
        metadata["cli_client_id"] = edge.cli_client_id
    return JSONResponse(metadata, headers={"Cache-Control": "no-store"})
