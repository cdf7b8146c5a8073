"""`pas evidence export` and `verify`: the proof of a job in one file, and its check without the service."""

from base64 import b64decode
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

from cyclopts import App, Parameter

from app.cli.client import Client, connect, path_of
from app.cli.exact import json_text
from app.cli.exchange import reached
from app.cli.exits import Answered, Ended, Exit, wrong_usage
from app.cli.options import ANY, ServiceOptions
from app.cli.pages import items
from app.cli.streams import say, tell

if TYPE_CHECKING:
    from app.cli.evidence_checks import CheckedLine
    from app.domain.notes import VerifierKey

app = App(name="evidence", help="Export the proof of a job, and check it without the service.", help_epilogue="")

PackageFile = Annotated[Path, Parameter(help="The package, a ZIP file.")]


@app.command
def export(
    *,
    job: Annotated[str, Parameter(help="Id of the job.")],
    to: Annotated[Path, Parameter(help="ZIP file to write.")],
    service: ServiceOptions = ANY,
) -> None:
    """Export the proof of a job: checkpoint, leaves, report, keys, its audit log, and how to check them.

    Needs the roles audit:read and backfilljob:read.
    """
    from app.cli.files import written
    from app.cli.package import packing

    with connect(service) as client:
        proof = client.get(path_of("api", "jobs", job, "evidence"))
        with written(to, readable=True) as file, packing(file) as writer:
            from app.cli import howto, package

            keys = client.get(path_of("api", "evidence", "keys"))["items"]
            writer.add(package.HOWTO, howto.TEXT.encode())
            writer.add(package.KEYS, "".join(f"{key['key']}\n" for key in keys).encode())
            writer.add(package.CHECKPOINT, proof["checkpoint"].encode())
            if proof.get("timestamp") is not None:
                writer.add(package.TIMESTAMP, b64decode(proof["timestamp"]))
            for name, kind, path in (
                (package.LEAVES, "application/x-ndjson", path_of("api", "jobs", job, "evidence", "leaves")),
                (package.REPORT, "application/yaml", path_of("api", "jobs", job, "report")),
            ):
                with writer.member(name) as member:
                    _stream(client, path, kind, member)
            if (entries := _entries(client, job)) is not None:
                writer.add(package.AUDIT, "".join(entries).encode())
    tell(f"{to} written: the proof of {proof['size']} references. Check it: pas evidence verify {to} --key KEY")


def _entries(client: Client, job: str) -> list[str] | None:
    """Each entry of the job in the audit log with its proof, in their order. None where the service has no log, or
    signs nothing of it: the package is then without it, as `verify` says."""
    try:
        numbers = [each["seq"] for each in items(client, "/api/audit", {"subject": f"job/{job.lower()}"}, "json", None)]
    except Answered as error:
        if error.status == 404:  # an older release
            return None
        raise
    try:
        if not numbers:
            _need_signed(client)
        return [json_text(client.get("/api/audit/proof", {"seq": number})) + "\n" for number in reversed(numbers)]
    except Answered as error:
        if error.status not in (404, 409):
            raise
        tell(f"The package is without the audit log: {error.detail or error.lines[0]}")
        return None


def _need_signed(client: Client) -> None:
    """Raises Answered with 409 where nothing is signed of the log, which may be why it shows no entry."""
    try:
        client.get("/api/audit/proof", {"seq": 0})
    except Answered as error:
        if error.status != 404:
            raise


def _stream(client: Client, path: str, kind: str, member: BinaryIO) -> None:
    with client.opened("GET", path, kind=kind) as response, reached(client.url):
        for piece in response.iter_bytes():
            member.write(piece)


@app.command
def verify(
    file: PackageFile,
    /,
    *,
    key: Annotated[
        list[str],
        Parameter(
            negative="", help="Verifier key of the service, <name>+<id>+<key>, or a file of such keys. May be repeated."
        ),
    ],
    tsa_certificate: Annotated[
        Path | None, Parameter(help="PEM file of the timestamp authority, or of those who certified it.")
    ] = None,
) -> int:
    """Check a package without network and database: every hash, proof and signature.

    Says line by line what holds, what differs and what was not looked at. Exit code 1 on any difference. With
    --objects it reads every object too, from the store that --config FILE names, or AWS_… of the environment, or
    --embedded [--data-dir DIR].
    """
    return verify_package(file, key, tsa_certificate)[0]


def verify_package(
    file: Path, keys: Iterable[str], tsa_certificate: Path | None, *, with_objects: bool = False
) -> tuple[int, bool]:
    """Says each verdict; the exit code, and whether the leaves are those that were signed.

    `with_objects`: the caller looks at the objects. Raises Ended.
    """
    from app.cli.evidence_checks import DIFFERS, HOLDS, UNSEEN, CheckedLine, check_package
    from app.cli.files import read_bytes

    known, code, leaves = _keys(keys), Exit.WELL, False
    authorities = None if tsa_certificate is None else read_bytes(tsa_certificate)
    try:
        _need_file(file)
        for verdict in check_package(file, known, authorities):
            tell_verdict(verdict)  # an output that cannot be written is no OSError: `standard_streams`
            leaves |= verdict.about == "leaves" and verdict.kind == HOLDS
            if verdict.kind == DIFFERS:
                code = Exit.REFUSED
    except OSError as error:
        raise Ended(f"{file} cannot be read: {error.strerror or error}") from error
    if not with_objects:
        tell_verdict(CheckedLine(UNSEEN, "objects", "--objects reads each of them by its version"))
    return code, leaves


def _need_file(file: Path) -> None:
    """Raises OSError, Ended."""
    with file.open("rb") as opened:
        seekable = opened.seekable()
    if not seekable:
        raise Ended(f"{file} is a pipe, and a package is read from its end: write it to a file first.")


def tell_verdict(verdict: "CheckedLine") -> None:
    say(f"{verdict.kind:<14} {verdict.about}: {verdict.text}")


def _keys(given: Iterable[str]) -> list["VerifierKey"]:
    from app.domain.notes import NoteError, read_verifier_key

    found = []
    for text in given:
        lines = [text]
        if "+" not in text or _is_file(text):
            try:
                lines = [line for line in Path(text).read_text().splitlines() if line.strip()]
            except (OSError, UnicodeDecodeError) as error:
                raise Ended(f"{text} is neither a verifier key nor a file that can be read.") from error
        try:
            found += [read_verifier_key(line) for line in lines]
        except NoteError as error:
            wrong_usage(f"--key {text}: {error}")
    return found


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # longer than a name can be
        return False
