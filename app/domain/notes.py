"""Signed notes and checkpoints as C2SP specifies them, with Ed25519: made, read, verified.

c2sp.org/signed-note, c2sp.org/tlog-checkpoint. Other algorithms are passed over, as for a key that is not known.
"""

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from typing_extensions import override

ED25519 = b"\x01"
"""The algorithm of a key, its first byte."""

LONGEST = 1_000_000
"""Characters of a note; no checkpoint has a thousand."""

MOST_SIGNATURES = 100

_MARK = "— "  # an em dash
_SIGNATURE = re.compile(r"— (?P<name>[^\s+]+) (?P<signature>[A-Za-z0-9+/]+={0,2})")
_PEM = re.compile(r"\s*-----BEGIN PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END PRIVATE KEY-----\s*")


class NoteError(ValueError):
    """A note, key or checkpoint that is malformed or not signed; the text says why."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name, `<name>+<id>+<key>` as text."""

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        """4 bytes that stand before each signature, so that a verifier knows which key to try."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    @override
    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{b64encode(ED25519 + self.public).decode()}"

    def verifies(self, text: str, signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line of a note. `value` is what follows the id of the key."""

    name: str
    key_id: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """The text, which ends with a line break, and its signatures, none of them verified."""

    text: str
    signatures: tuple[Signature, ...]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a tree: who says it of what, number of leaves, root, and further lines."""

    origin: str
    size: int
    root: bytes
    lines: tuple[str, ...] = ()

    def text(self) -> str:
        return "".join(f"{line}\n" for line in (self.origin, self.size, b64encode(self.root).decode(), *self.lines))


def read_verifier_key(text: str) -> VerifierKey:
    """The key of `<name>+<id>+<key>`. Raises NoteError."""
    name, plus, rest = text.strip().partition("+")
    id_text, second_plus, key_text = rest.partition("+")
    if not plus or not second_plus or not is_key_name(name):
        raise NoteError("is not a verifier key: <name>+<8 hex digits>+<base64>")
    key = _base64(key_text)
    if key is None or key[:1] != ED25519 or len(key) != 33:
        raise NoteError("is not an Ed25519 verifier key")
    found = VerifierKey(name, key[1:])
    if found.id.hex() != id_text:
        raise NoteError("is a verifier key whose id does not fit; copy all of it")
    return found


def is_key_name(name: str) -> bool:
    """Whether C2SP allows the name: not empty, no blanks, no plus. Commas separate keys in our settings."""
    return re.fullmatch(r"[^\s+,\x00-\x1f\x7f]{1,255}", name) is not None and name.isprintable()


def as_key_name(text: str) -> str:
    """The text with a hyphen for each character that a name of a key may not have."""
    return "".join(each if is_key_name(each) else "-" for each in text)[:255]


def read_private_key(pem: str) -> Ed25519PrivateKey:
    """The Ed25519 key of a PKCS#8 PEM; line breaks may have become blanks. Raises NoteError, without the text."""
    found = _PEM.fullmatch(pem)
    if found is None:
        raise NoteError("must be a private key in PKCS#8 PEM that is not encrypted (-----BEGIN PRIVATE KEY-----)")
    body = "".join(found[1].split())
    try:
        key = load_pem_private_key(f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n".encode(), None)
    except (ValueError, TypeError, binascii.Error):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise NoteError("must be an Ed25519 key; `openssl genpkey -algorithm ed25519` makes one")
    return key


def private_pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def verifier_key(name: str, key: Ed25519PrivateKey) -> VerifierKey:
    return VerifierKey(name, key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def signed(text: str, name: str, key: Ed25519PrivateKey) -> str:
    """The note: the text, which ends with a line break, and its signature. The same text gives the same note."""
    signature = verifier_key(name, key).id + key.sign(text.encode())
    return f"{text}\n{_MARK}{name} {b64encode(signature).decode()}\n"


def read_note(note: str) -> Note:
    """The parts of a note. Raises NoteError."""
    if len(note) > LONGEST or any(character < " " and character != "\n" for character in note):
        raise NoteError("is not a signed note: it is too long or has control characters")
    text, blank, rest = note.rpartition("\n\n")
    if not blank or not rest.endswith("\n"):
        raise NoteError("is not a signed note: signatures follow a blank line")
    lines = rest[:-1].split("\n")
    if len(lines) > MOST_SIGNATURES:
        raise NoteError(f"is not a signed note: more than {MOST_SIGNATURES} signatures")
    return Note(f"{text}\n", tuple(_signature(line) for line in lines))


def verified(note: str, keys: Sequence[VerifierKey]) -> tuple[str, VerifierKey]:
    """The text of a note and the key that signed it.

    Signatures of other keys are passed over. Raises NoteError where a signature of one of `keys` is wrong, and where
    none of them signed.
    """
    read = read_note(note)
    found: VerifierKey | None = None
    for signature in read.signatures:
        for key in keys:
            if (signature.name, signature.key_id) != (key.name, key.id):
                continue
            if not key.verifies(read.text, signature.value):
                raise NoteError(f"the signature of {key.name}+{key.id.hex()} is wrong")
            found = found or key
    if found is None:
        named = ", ".join(f"{each.name}+{each.key_id.hex()}" for each in read.signatures)
        raise NoteError(f"is not signed by a known key, but by {named}")
    return read.text, found


def read_checkpoint(text: str) -> Checkpoint:
    """The checkpoint that the text of a note is. Raises NoteError."""
    if not text.endswith("\n"):
        raise NoteError("is not a checkpoint: its last line does not end")
    origin, *rest = text[:-1].split("\n")
    if not origin or len(rest) < 2 or not all(rest):
        raise NoteError("is not a checkpoint: origin, size and root are its first lines")
    size, root_text, *lines = rest
    root = _base64(root_text)
    if re.fullmatch(r"0|[1-9][0-9]{0,18}", size) is None or root is None or len(root) != 32:
        raise NoteError("is not a checkpoint: its size is no number, or its root no SHA-256 in base64")
    return Checkpoint(origin, int(size), root, tuple(lines))


def _signature(line: str) -> Signature:
    found = _SIGNATURE.fullmatch(line)
    value = None if found is None else _base64(found["signature"])
    if found is None or value is None or len(value) < 5:
        raise NoteError("is not a signed note: a line behind the blank one is no signature")
    return Signature(found["name"], value[:4], value[4:])


def _base64(text: str) -> bytes | None:
    """Strictly: each value has one text, so that no changed character goes unnoticed."""
    try:
        value = b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return None
    return value if b64encode(value).decode() == text else None
