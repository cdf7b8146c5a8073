"""Signed notes and checkpoints of C2SP: made, read, and refused where one character differs."""

from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from app.domain.notes import (
    Checkpoint,
    NoteError,
    as_key_name,
    is_key_name,
    private_pem,
    read_checkpoint,
    read_note,
    read_private_key,
    read_verifier_key,
    signed,
    verified,
    verifier_key,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
VERIFIER = verifier_key("psf/archive", KEY)
CHECKPOINT = Checkpoint("psf/archive/jobs/1", 5, b"r" * 32, ("content-hash 00", "result succeeded"))
NOTE = signed(CHECKPOINT.text(), "psf/archive", KEY)


def test_a_note_of_the_go_documentation_is_verified() -> None:
    key = read_verifier_key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    signature = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    note = f"{text}\n— PeterNeumann {signature}\n"
    text_found, key_found = verified(note, [VERIFIER, key])
    assert (text_found, key_found) == (text, key)


def test_a_note_is_read_and_verified_with_its_key() -> None:
    text, key = verified(NOTE, [VERIFIER])
    assert (read_checkpoint(text), key) == (CHECKPOINT, VERIFIER)
    assert NOTE.splitlines()[:3] == ["psf/archive/jobs/1", "5", b64encode(b"r" * 32).decode()]
    assert signed(CHECKPOINT.text(), "psf/archive", KEY) == NOTE


def test_each_character_changed_removed_or_doubled_is_found() -> None:
    for place in range(len(NOTE)):
        for character in ("A", "B", "=", "\n", " "):
            if character != NOTE[place]:
                with pytest.raises(NoteError):
                    verified(NOTE[:place] + character + NOTE[place + 1 :], [VERIFIER])
        with pytest.raises(NoteError):
            verified(NOTE[:place] + NOTE[place + 1 :], [VERIFIER])
        with pytest.raises(NoteError):
            verified(NOTE[: place + 1] + NOTE[place:], [VERIFIER])


def test_signatures_of_others_are_passed_over_and_wrong_ones_of_known_keys_are_not() -> None:
    other = Ed25519PrivateKey.generate()
    others_line = signed(CHECKPOINT.text(), "other", other).splitlines()[-1]
    both = f"{NOTE}{others_line}\n"
    assert verified(both, [VERIFIER])[1] == VERIFIER
    assert verified(both, [verifier_key("other", other)])[1].name == "other"
    wrong = signed("something else\n", "other", other).splitlines()[-1]
    with pytest.raises(NoteError, match="signature of other"):
        verified(f"{NOTE}{wrong}\n", [VERIFIER, verifier_key("other", other)])
    with pytest.raises(NoteError, match=r"not signed by a known key, but by psf/archive\+"):
        verified(NOTE, [verifier_key("other", other)])


@pytest.mark.parametrize(
    "note", ["", "x", "x\n\n", "x\n\n— a\n", "x\n\n— a AAAA\n", "x\ty\n\n— a AAAAAAAA\n", NOTE + NOTE.splitlines()[-1],
             "x\n\n" + "— a AAAAAAAA\n" * 101, "x" * 1_000_001]
)  # fmt: skip
def test_what_is_no_note_is_refused(note: str) -> None:
    with pytest.raises(NoteError, match="is not a signed note"):
        read_note(note)


@pytest.mark.parametrize(
    "text",
    ["", "a\n", "a\n1\n", "\n1\n" + "A" * 43 + "=\n", "a\n01\n" + "A" * 43 + "=\n", "a\n1\n" + "A" * 42 + "B=\n",
     "a\n-1\n" + "A" * 43 + "=\n", "a\n1\nAAAA\n", "a\n1\n" + "A" * 43 + "=", "a\n1\n" + "A" * 43 + "=\n\nb\n"],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteError, match="is not a checkpoint"):
        read_checkpoint(text)


def test_a_verifier_key_is_read_as_it_is_written() -> None:
    assert read_verifier_key(f" {VERIFIER}\n") == VERIFIER
    assert str(VERIFIER).startswith(f"psf/archive+{VERIFIER.id.hex()}+AQ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a verifier key"),
        ("a b+00000000+AAAA", "is not a verifier key"),
        ("a+00000000", "is not a verifier key"),
        ("a+00000000+AAAA", "Ed25519"),
        (str(VERIFIER).replace("psf", "psg"), "whose id does not fit"),
        (str(VERIFIER)[:-1], "Ed25519"),
    ],
)
def test_what_is_no_verifier_key_is_refused(text: str, said: str) -> None:
    with pytest.raises(NoteError, match=said):
        read_verifier_key(text)


def test_names_of_keys() -> None:
    assert all(is_key_name(name) for name in ("a", "psf/archive", "ä.ch/ü"))
    assert not any(is_key_name(name) for name in ("", "a b", "a+b", "a,b", "a\u00a0b", "a\n", "\u2003", "x" * 256))
    assert as_key_name("My System/a+b") == "My-System/a-b"
    assert is_key_name(as_key_name("/"))


def test_a_private_key_is_read_with_its_line_breaks_turned_into_blanks_too() -> None:
    pem = private_pem(KEY).decode()
    for form in (pem, pem.replace("\n", " "), pem.replace("\n", "\r\n"), f"\n{pem}\n"):
        assert verifier_key("a", read_private_key(form)) == verifier_key("a", KEY)


def test_other_keys_are_refused_without_showing_them() -> None:
    ec = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    encrypted = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode()
    pem = private_pem(KEY).decode()
    for text, said in ((ec, "Ed25519"), (encrypted, "not encrypted"), ("x", "PKCS#8"), (pem.replace("M", "N"), "Ed25")):
        with pytest.raises(NoteError, match=said) as refused:
            read_private_key(text)
        assert pem.splitlines()[1] not in str(refused.value)
