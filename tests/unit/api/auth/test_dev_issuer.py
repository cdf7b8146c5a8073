"""The development issuer: one key per data directory, tokens that only its own service accepts."""

import os
import stat
import time
from pathlib import Path

import jwt
import pytest

from app.api.auth.callers import Authenticator, Caller, ResourceServerOptions
from app.api.auth.dev_issuer import ALL_ROLES, mint, open_issuer
from app.api.http.problems import ApiProblem
from tests.unit.api.issuer import jwk, private_key


async def caller(data_dir: Path, token: str, ahead: float = 0) -> Caller:
    known = Authenticator(ResourceServerOptions("psf"), open_issuer(data_dir).key_sets(), lambda: time.time() + ahead)
    return await known.caller([f"Bearer {token}"])


async def test_a_token_is_accepted_by_the_service_on_the_same_directory_with_all_roles(tmp_path: Path) -> None:
    known = await caller(tmp_path, mint(tmp_path))
    assert all(known.has(*role.split(":")) for role in ALL_ROLES)
    assert (known.name, known.ext_id) == ("Developer", None)
    assert open_issuer(tmp_path).key_sets().reason() is None


async def test_a_token_has_the_roles_and_names_that_are_asked_for(tmp_path: Path) -> None:
    known = await caller(tmp_path, mint(tmp_path, ["backfilljob:read"], "John Doe", "287365"))
    assert (known.name, known.ext_id) == ("John Doe", "287365")
    assert known.has("backfilljob", "read")
    assert not known.has("backfilljob", "write")
    assert (await caller(tmp_path, mint(tmp_path, name=None))).name is None


async def test_with_a_system_the_roles_are_its_semantic_ones(tmp_path: Path) -> None:
    known = await caller(tmp_path, mint(tmp_path, ["backfilljob:write"], system="psf"))
    assert known.has("backfilljob", "write")
    assert not (await caller(tmp_path, mint(tmp_path, system="other"))).grants


async def test_a_token_ends_with_its_time_to_live(tmp_path: Path) -> None:
    token = mint(tmp_path, ttl=60)
    assert isinstance(await caller(tmp_path, token, ahead=80), Caller)
    with pytest.raises(ApiProblem, match="token expired"):
        await caller(tmp_path, token, ahead=95)


async def test_another_directory_is_another_issuer(tmp_path: Path) -> None:
    token = mint(tmp_path / "a")
    with pytest.raises(ApiProblem, match="issuer not trusted"):
        await caller(tmp_path / "b", token)
    assert open_issuer(tmp_path / "a").name == open_issuer(tmp_path / "a").name
    assert open_issuer(tmp_path / "a").name.startswith("urn:pas:dev:")


async def test_the_name_of_the_issuer_alone_is_not_enough(tmp_path: Path) -> None:
    claims = {"iss": open_issuer(tmp_path).name, "exp": time.time() + 60, "roles": list(ALL_ROLES)}
    forged = jwt.encode(claims, private_key("ec", "P-256"), "ES256")
    with pytest.raises(ApiProblem, match="signature invalid"):
        await caller(tmp_path, forged)


def test_the_key_is_readable_by_its_owner_only_and_nothing_else_is_left(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        mint(tmp_path / "new" / "dir")
    finally:
        os.umask(mask)
    directory = tmp_path / "new" / "dir" / "dev-issuer"
    assert [path.name for path in directory.iterdir()] == ["key.pem"]
    assert stat.S_IMODE((directory / "key.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "role", ["", "backfilljob", "backfilljob:", ":write", "a:b:c", "psf_@backfilljob_#write", "a b:c"]
)
def test_what_is_no_role_is_refused_with_an_example(tmp_path: Path, role: str) -> None:
    with pytest.raises(ValueError, match="roles look like backfilljob:write"):
        mint(tmp_path, ["backfilljob:read", role])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf")])
def test_a_time_to_live_that_is_not_positive_is_refused(tmp_path: Path, ttl: float) -> None:
    with pytest.raises(ValueError, match="positive number of seconds"):
        mint(tmp_path, ttl=ttl)


@pytest.mark.parametrize("content", [b"", b"garbage", str(jwk(private_key("one"))).encode()])
def test_a_file_that_is_no_key_is_named_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "dev-issuer" / "key.pem"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"key\.pem is not a P-256 private key"):
        mint(tmp_path)
    assert path.read_bytes() == content
