"""The OAuth authorization server: oidc-provider on Node, with clients that get the roles tests need."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from typing_extensions import override

from tests.servers.client import CLIENT
from tests.servers.fetch import fetched, need, run
from tests.servers.ports import free_ports, get
from tests.servers.process import NotReady, ServerFailed, ServerProcess

SOURCES = Path(__file__).resolve().parent / "oidc"


@dataclass(frozen=True, kw_only=True)
class Client:
    """A client of the authorization server and what its tokens say; `ttl` in seconds."""

    client_id: str
    client_secret: str = "secret"
    """Empty: a public client, for people who log in by device code."""
    claims: dict[str, Any] = field(default_factory=dict)
    audience: str = "psf-archive"
    scope: str = ""
    algorithm: str = "RS256"
    ttl: int = 600
    page: bool = False
    """Whether it logs people in to the page, by authorization code."""


DEFAULT_CLIENTS = (
    Client(client_id="pas-writer", claims={"userroles": ["psf_@backfilljob_#write"], "name": "Wanda Writer"}),
    Client(client_id="pas-reader", claims={"userroles": ["psf_@backfilljob_#read"], "name": "Rita Reader"}),
    Client(
        client_id="pas-admin",
        claims={
            "userroles": ["psf_@backfilljob_#read", "psf_@backfilljob_#write"],
            "name": "John Doe",
            "ext_id": "287365",
        },
    ),
    Client(
        client_id="pas-all",
        claims={
            "userroles": [
                "psf_@backfilljob_#read",
                "psf_@backfilljob_#write",
                "psf_@artifact_#read",
                "psf_@audit_#read",
            ],
            "name": "Alma All",
        },
    ),
    Client(client_id="source-client", audience="psf-source", scope="documents:read"),
    Client(
        client_id="pas-page",
        client_secret="page/secret",
        claims={"userroles": ["psf_@backfilljob_#read", "psf_@backfilljob_#write"], "name": "Paula Page"},
        ttl=33,
        page=True,
    ),
    Client(
        client_id="pas-cli",
        client_secret="",
        claims={"userroles": ["psf_@backfilljob_#read", "psf_@backfilljob_#write"], "name": "Dora Device"},
    ),
)


class Oidc(ServerProcess):
    """Client credentials for JWTs, discovery and JWKS. Each start makes new keys, so `restart()` rotates them."""

    name = "oidc"

    def __init__(self, clients: Iterable[Client] = DEFAULT_CLIENTS) -> None:
        super().__init__()
        self.clients = {client.client_id: client for client in clients}
        self.port = 0

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token_uri(self) -> str:
        return f"{self.issuer}/token"

    @property
    def jwks_uri(self) -> str:
        return f"{self.issuer}/jwks"

    def token(
        self,
        client_id: str,
        *,
        claims: dict[str, Any] | None = None,
        audience: str | None = None,
        algorithm: str | None = None,
        ttl: int | None = None,
    ) -> str:
        """A fresh access token of the client; what is given here goes before what the client has.

        `algorithm` is one of RS256, RS512, PS256, ES256 and their relatives.
        """
        client = self.clients[client_id]
        given = {"claims": claims, "audience": audience, "algorithm": algorithm, "ttl": ttl}
        form = {
            "grant_type": "client_credentials",
            "extra": json.dumps({key: value for key, value in given.items() if value is not None}),
            **({"scope": client.scope} if client.scope else {}),
        }
        answer = CLIENT.post(self.token_uri, data=form, auth=(client_id, client.client_secret), timeout=10)
        if answer.status_code != 200:
            raise ServerFailed(f"no token for {client_id}: {answer.status_code} {answer.text}")
        return str(answer.json()["access_token"])

    def confirm(self, user_code: str, *, refuse: bool = False) -> None:
        """What a person does in a browser with the code that a device shows."""
        asked = {"user_code": user_code, **({"refuse": "1"} if refuse else {})}
        CLIENT.post(f"{self.issuer}/confirm", params=asked, timeout=10).raise_for_status()

    def token_requests(self, client_id: str) -> int:
        """How many token requests of the client were answered since the start, refused ones included."""
        return int(CLIENT.get(f"{self.issuer}/stats").json().get(client_id, 0))

    @override
    def prepare(self, data: Path) -> None:
        (data / "node_modules").symlink_to(fetch() / "node_modules")
        shutil.copy(SOURCES / "server.mjs", data)
        shutil.copy(SOURCES / "package.json", data)
        self.port = free_ports(1)

    @override
    def command(self) -> list[str]:
        return [need("node"), "server.mjs"]

    @override
    def environment(self) -> dict[str, str]:
        clients = [asdict(client) for client in self.clients.values()]
        return {"OIDC_SETTINGS": json.dumps({"port": self.port, "clients": clients}), "NODE_ENV": "production"}

    @override
    def check(self) -> None:
        if b" 200 " not in get(self.port, "/jwks")[:15]:
            raise NotReady("no keys yet")


def fetch() -> Path:
    """The directory with `node_modules`, exactly as the lock file says."""

    def install(half: Path) -> None:
        need("node", "nodejs", "npm")
        npm = need("npm", "npm")
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SOURCES / name, half)
        run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=half)

    lock = hashlib.sha256((SOURCES / "package-lock.json").read_bytes()).hexdigest()[:8]
    return fetched(f"oidc-{lock}", install)
