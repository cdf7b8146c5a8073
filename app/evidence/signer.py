"""The key with which this service signs checkpoints, and the keys of the past."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.domain.notes import (
    Checkpoint,
    NoteError,
    VerifierKey,
    private_pem,
    read_private_key,
    read_verifier_key,
    signed,
    verifier_key,
)
from app.private_files import write_once


class SigningKeyError(ValueError):
    """The key file of the embedded service cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Signer:
    """`name` is that of the key; origins of checkpoints begin with it."""

    name: str
    key: Ed25519PrivateKey

    @property
    def verifier(self) -> VerifierKey:
        return verifier_key(self.name, self.key)

    def origin(self, of: str) -> str:
        """`<key name>/<of>`, for example of `audit`."""
        return f"{self.name}/{of}"

    def checkpoint(self, of: str, size: int, root: bytes, lines: Sequence[str] = ()) -> str:
        """The signed note of a checkpoint; the same tree gives the same note."""
        return signed(Checkpoint(self.origin(of), size, root, tuple(lines)).text(), self.name, self.key)


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The public keys that this service knows; `present` is None where nothing is signed."""

    present: VerifierKey | None
    former: tuple[VerifierKey, ...] = ()

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        """The present key first."""
        present = () if self.present is None else (self.present,)
        return (*present, *(each for each in self.former if each != self.present))


def signing_keys(signer: Signer | None, former: Sequence[str]) -> SigningKeys:
    """`former` are texts of verifier keys. Raises NoteError."""
    return SigningKeys(None if signer is None else signer.verifier, tuple(read_verifier_key(each) for each in former))


def signer_of(name: str, pem: str) -> Signer:
    """The signer of a key in PEM. Raises NoteError."""
    return Signer(name, read_private_key(pem))


def own_signer(file: Path, name: str) -> Signer:
    """The signer of the key in a file, which is made when it is not there (embedded). Raises SigningKeyError."""
    try:
        if not file.exists():
            write_once(file, private_pem(Ed25519PrivateKey.generate()))
        pem = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SigningKeyError(f"{file} cannot be read or made: {error}") from error
    try:
        return signer_of(name, pem)
    except NoteError as error:
        raise SigningKeyError(f"{file} {error}") from error
