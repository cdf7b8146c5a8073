"""The signer: the same tree gives the same note, and the key of the embedded service is made once."""

import stat
from pathlib import Path

import pytest

from app.domain.notes import read_checkpoint, verified
from app.evidence.signer import SigningKeyError, own_signer, signer_of, signing_keys
from app.private_files import write_once


def test_a_checkpoint_names_the_key_and_is_the_same_for_the_same_tree(tmp_path: Path) -> None:
    signer = own_signer(tmp_path / "evidence" / "key.pem", "psf/archive")
    note = signer.checkpoint("jobs/1", 3, b"r" * 32, ["result succeeded"])
    assert note == signer.checkpoint("jobs/1", 3, b"r" * 32, ["result succeeded"])
    read = read_checkpoint(verified(note, [signer.verifier])[0])
    assert (read.origin, read.size, read.root, read.lines) == (
        "psf/archive/jobs/1", 3, b"r" * 32, ("result succeeded",)
    )  # fmt: skip


def test_the_key_of_the_embedded_service_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "evidence" / "key.pem"
    first, second = own_signer(file, "a"), own_signer(file, "a")
    assert first.verifier == second.verifier
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert signer_of("a", file.read_text()).verifier == first.verifier
    write_once(file, b"other")
    assert own_signer(file, "a").verifier == first.verifier


def test_keys_of_the_past_are_listed_behind_the_present_one(tmp_path: Path) -> None:
    old = own_signer(tmp_path / "old.pem", "a").verifier
    signer = own_signer(tmp_path / "new.pem", "b")
    assert signing_keys(signer, [str(old), str(signer.verifier)]).keys == (signer.verifier, old)
    assert signing_keys(None, [str(old)]).keys == (old,)


def test_a_file_that_is_no_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("x")
    with pytest.raises(SigningKeyError, match=r"key\.pem must be a private key"):
        own_signer(tmp_path / "key.pem", "a")
    (tmp_path / "file").write_text("")
    with pytest.raises(SigningKeyError, match="cannot be read or made"):
        own_signer(tmp_path / "file" / "key.pem", "a")
