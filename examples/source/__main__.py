"""An example source service: serves the documents beside it as a source of the Process Archive Service must.

`python -m examples.source [--port 8081]`. It gives tokens to the client of config/application.yml (OAuth client
credentials, `POST /oauth/token`) and asks for them (`GET /api/osv/<id>`, `GET /api/decrees/<id>?version=<n>`). Prints
`listening on http://127.0.0.1:<port>` once it accepts requests. What a source must do: docs/source-services.md.
"""

import argparse
import asyncio
import base64
import binascii
import io
import json
import secrets
import signal
import time
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import parse_qs, unquote_plus

import fastavro
from aiohttp import web
from aiohttp.typedefs import Handler

HERE = Path(__file__).resolve().parent
DOCUMENTS = HERE / "documents"
DECREE_SCHEMA = HERE.parents[1] / "contracts/archive-types/demo/decreedocument/DecreeDocument_v1.avsc"
CLIENT_ID, CLIENT_SECRET = "process-archive", "demo-secret"
TOKEN_LIFETIME = 300
"""Seconds."""

tokens: dict[str, float] = {}
"""Bearer token → when it expires, of the monotonic clock."""


async def give_token(request: web.Request) -> web.Response:
    """RFC 6749, section 4.4: client credentials, the client authenticated with HTTP Basic."""
    form = parse_qs((await request.read()).decode())
    if credentials(request) != (CLIENT_ID, CLIENT_SECRET):
        return web.json_response({"error": "invalid_client"}, status=401)
    if form.get("grant_type") != ["client_credentials"]:
        return web.json_response({"error": "unsupported_grant_type"}, status=400)
    token = secrets.token_urlsafe(32)
    tokens[token] = time.monotonic() + TOKEN_LIFETIME
    return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_LIFETIME})


def credentials(request: web.Request) -> tuple[str, str] | None:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    try:
        name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (unquote_plus(name), unquote_plus(secret)) if scheme.lower() == "basic" else None


@web.middleware
async def check_token(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Everything below /api needs a bearer token that was given here and has not expired."""
    if request.path.startswith("/api/"):
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or tokens.get(token, 0.0) < time.monotonic():
            return web.Response(status=401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
    return await handler(request)


async def osv(request: web.Request) -> web.Response:
    """A security advisory, 404 for one that there is not."""
    advisory = request.match_info["id"]
    path = DOCUMENTS / f"{advisory}.json"
    if path.parent != DOCUMENTS or not path.is_file():
        return web.Response(status=404)
    headers = {
        "Archive-Data-System": "PSF",
        "Archive-Data-Schema": "OsvRecord",
        "Archive-Data-Schema-Version": "1",
        "Archive-Metadata-Publisher": "Python Software Foundation",
    }
    return web.Response(body=path.read_bytes(), content_type="application/json", headers=headers)


def made_up(number: str, version: int) -> dict[str, object]:
    return {
        "decreeNumber": number,
        "version": version,
        "issued": date(2024, 1, 1) + timedelta(days=version),
        "status": "ISSUED",
        "customer": {"id": f"customer-of-{number}", "name": None},
        "paragraphs": [f"Decree {number}, version {version}."],
        "scan": None,
    }


async def decree(request: web.Request) -> web.Response:
    """A decree document in Avro, made up from its id and version."""
    version = request.query.get("version", "")
    if not version.isdigit():
        return web.Response(status=400)
    content = io.BytesIO()
    schema = fastavro.parse_schema(json.loads(DECREE_SCHEMA.read_bytes()))
    fastavro.schemaless_writer(content, schema, made_up(request.match_info["id"], int(version)))
    headers = {
        "Content-Type": "avro/binary",
        "Archive-Data-System": "DEMO",
        "Archive-Data-Schema": "DecreeDocument",
        "Archive-Data-Schema-Version": "1",
    }
    return web.Response(body=content.getvalue(), headers=headers)


def application() -> web.Application:
    app = web.Application(middlewares=[check_token])
    app.add_routes(
        [web.post("/oauth/token", give_token), web.get("/api/osv/{id}", osv), web.get("/api/decrees/{id}", decree)]
    )
    return app


async def serve(port: int) -> None:
    """Until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(application())
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        print(f"listening on http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
        await stop.wait()
    finally:
        await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.source", description="Example source service.")
    parser.add_argument("--port", type=int, default=8081, help="0 takes a free one (default: 8081)")
    asyncio.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
