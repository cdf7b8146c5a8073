"""Trees, proofs and checkpoints are accepted by the Go modules of transparency-dev, and what was changed is not."""

import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.domain.merkle import consistency_ranges, inclusion_ranges, leaf_hash, root_of
from app.evidence.signer import Signer
from tests.servers.fetch import ServerUnavailable
from tests.servers.second_opinion import fetch, opinions

MOST = 300
CONTENTS = [b"leaf %d" % number for number in range(MOST)]
HASHES = [leaf_hash(content) for content in CONTENTS]


@pytest.fixture(scope="module")
def program() -> Path:
    try:
        return fetch()
    except ServerUnavailable as unavailable:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"second opinion: {unavailable}")


def inclusion(index: int, size: int, contents: list[bytes]) -> dict[str, Any]:
    hashes = [leaf_hash(each) for each in contents[:size]]
    proof = [root_of(hashes[start:end]).hex() for start, end in inclusion_ranges(index, size)]
    root = root_of(hashes).hex()
    return {"what": "inclusion", "index": index, "size": size, "leaf": hashes[index].hex(), "proof": proof,
            "root": root}  # fmt: skip


def consistency(old: int, new: int, contents: list[bytes]) -> dict[str, Any]:
    hashes = [leaf_hash(each) for each in contents[:new]]
    proof = [root_of(hashes[start:end]).hex() for start, end in consistency_ranges(old, new)]
    roots = {"oldRoot": root_of(hashes[:old]).hex(), "root": root_of(hashes).hex()}
    return {"what": "consistency", "oldSize": old, "size": new, "proof": proof, **roots}


def test_roots_and_proofs_of_every_size_are_accepted(program: Path) -> None:
    questions: list[dict[str, Any]] = []
    for size in range(1, MOST + 1):
        leaves = [each.hex() for each in CONTENTS[:size]]
        questions.append({"what": "root", "leaves": leaves, "root": root_of(HASHES[:size]).hex()})
        questions += [inclusion(index, size, CONTENTS) for index in {0, size // 2, size - 1, size * 2 // 3}]
        questions += [consistency(old, size, CONTENTS) for old in {1, size // 2 or 1, size - 1 or 1, size}]
    assert set(opinions(program, questions)) == {"ok"}


def test_a_hundred_thousand_leaves_are_accepted(program: Path) -> None:
    contents = [b"%d" % number for number in range(100_000)]
    questions = [
        {"what": "root", "leaves": [each.hex() for each in contents], "root": inclusion(0, 100_000, contents)["root"]},
        inclusion(99_999, 100_000, contents),
        inclusion(65_535, 100_000, contents),
        consistency(77_777, 100_000, contents),
    ]
    assert opinions(program, questions) == ["ok"] * 4


def test_what_was_changed_is_not_accepted(program: Path) -> None:
    good = inclusion(5, 9, CONTENTS)
    wrong = [{**good, "index": 4}, {**good, "size": 8}, {**good, "leaf": HASHES[4].hex()}, {**good, "proof": []}]
    assert "ok" not in opinions(program, wrong)


def test_checkpoints_are_accepted_with_their_key_and_origin_only(program: Path) -> None:
    signer = Signer("psf/process-archive", Ed25519PrivateKey.generate())
    other = Signer("psf/process-archive", Ed25519PrivateKey.generate())
    job = "88dbb65f-9634-4685-bc86-17b72d715d3e"
    root = root_of(HASHES)
    note = signer.checkpoint(f"jobs/{job}", MOST, root, ["content-hash 00", "result succeeded"])
    origin = f"psf/process-archive/jobs/{job}"
    good = {"what": "checkpoint", "note": note, "key": str(signer.verifier), "origin": origin, "size": MOST,
            "root": root.hex()}  # fmt: skip
    found = opinions(
        program,
        [
            good,
            {**good, "key": str(other.verifier)},
            {**good, "origin": "psf/process-archive/audit"},
            {**good, "note": note.replace("succeeded", "failed")},
        ],
    )
    assert found[0] == "ok"
    assert "ok" not in found[1:]
