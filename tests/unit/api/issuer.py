"""An issuer for the tests of this folder: keys made here, tokens of any form, a JWKS that can fail, and clocks."""

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

ISSUER = "https://issuer.example"
AUDIENCE = "psf-archive"
NOW = 1_800_000_000


@cache
def private_key(name: str, kind: str = "RSA", size: int = 2048) -> Any:
    """The key of that name, made once for all tests; `kind` is RSA or a curve."""
    curves: dict[str, type[ec.EllipticCurve]] = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "K": ec.SECP256K1}
    return rsa.generate_private_key(65537, size) if kind == "RSA" else ec.generate_private_key(curves[kind]())


def jwk(key: Any, **members: Any) -> dict[str, Any]:
    to_jwk = RSAAlgorithm.to_jwk if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm.to_jwk
    public = {k: v for k, v in to_jwk(key.public_key(), as_dict=True).items() if k != "key_ops"}
    return {name: value for name, value in {**public, **members}.items() if value is not None}


def jwks(*entries: Any) -> bytes:
    return json.dumps({"keys": list(entries)}).encode()


def claims(**changes: Any) -> dict[str, Any]:
    """Claims of a valid token; a change to None leaves one out."""
    usual = {"iss": ISSUER, "sub": "someone", "aud": AUDIENCE, "exp": NOW + 600}
    return {name: value for name, value in (usual | changes).items() if value is not None}


def token(key: PrivateKeyTypes | None = None, algorithm: str = "RS256", kid: str | None = "one", **changes: Any) -> str:
    """A signed token; `headers` among the changes are more header members."""
    headers = {**({"kid": kid} if kid is not None else {}), **changes.pop("headers", {})}
    signing: Any = key or private_key("one")
    return jwt.encode(claims(**changes), signing, algorithm=algorithm, headers=headers)


def raw_token(header: object, payload: object, sign: Callable[[bytes], bytes] = lambda _: b"x" * 256) -> str:
    """A token with any header and payload; bytes are taken as they are."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    signed = ".".join(b64(part) for part in parts)
    return f"{signed}.{b64(sign(signed.encode()))}"


def b64(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


@dataclass
class Clock:
    """Seconds that pass only when told to."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class FakeJwks:
    """A JWKS endpoint in this process: what it answers can be changed, and it counts."""

    content: bytes = field(default_factory=lambda: jwks(jwk(private_key("one"), kid="one", alg="RS256", use="sig")))
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    down: bool = False
    hold: asyncio.Event | None = None
    """While set and not yet happened, answers wait for it."""
    requests: list[httpx.Request] = field(default_factory=list)

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.hold is not None:
            await self.hold.wait()
        if self.down:
            raise httpx.ConnectError("refused")
        return httpx.Response(self.status, content=self.content, headers=self.headers)
