"""Bodies made to hurt: whatever is sent, health answers at once and the memory stays a small multiple of the body."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from tests.servers.source import Source
from tests.support.archive_types import OSV
from tests.support.embedded import Embedded
from tests.support.service import Service
from tests.support.watching import rss_of, watching

MIB = 1024 * 1024
SIZE = 64 * MIB - 1024
LONGEST_WAIT = 0.2
ATTEMPTS = 3
"""The machine is shared: a wait counts when it is there each time."""

START = f"message: {OSV.name}\ntopic: {OSV.topic}\narchiveDataReferences:\n".encode()
OTHER = START.replace(OSV.name.encode(), b"Unknown")


def references(start: bytes, size: int = SIZE, each: str = "- id: %080d\n") -> bytes:
    count = (size - len(start)) // len(each % 0)
    return start + "".join([each % number for number in range(count)]).encode()


def filled(begin: bytes, end: bytes = b"", fill: bytes = b"a") -> bytes:
    return begin + fill * ((SIZE - len(begin) - len(end)) // len(fill)) + end


KINDS: dict[str, tuple[Callable[[], bytes], str]] = {
    "references of an unknown message": (lambda: references(OTHER), "no archive type is configured"),
    "references that all stand twice": (lambda: references(START, SIZE // 2) + references(b"", SIZE // 2), "same as"),
    "one value": (lambda: filled(START + b"- id: "), "bytes long"),
    "one value of wide characters": (lambda: filled(START + b'- id: "\xf0\x9f\x98\x80', b'"'), "bytes long"),
    "escapes": (lambda: filled(START + b'- id: "', b'"', b"\\U0001F600"), "bytes long"),
    "comments": (lambda: filled(b"", START + b"- id: a\n", b"# a\n"), "bytes long"),
    "brackets": (lambda: filled(START[:-1] + b" ", fill=b"["), "nested too deeply"),
    "keys without end": (lambda: filled(b"", fill=b"? "), "nested too deeply"),
    "aliases": (lambda: filled(START, fill=b"- *a\n"), "is an alias"),
    "merge keys": (lambda: filled(START, fill=b"- <<: {id: a}\n"), "unknown key"),
    "tags": (lambda: filled(START, fill=b"- !!str id: a\n"), "has a tag"),
    "directives": (lambda: filled(b"", fill=b"%TAG ! !\n"), "%TAG line"),
    "documents": (lambda: filled(b"", fill=b"---\n"), "must be a mapping"),
    "UTF-16": (lambda: filled(b"\xff\xfe", fill=b"a\0"), "UTF-16"),
    "zeros": (lambda: filled(b"", fill=b"\0"), "U+0000"),
    "half a character at the end": (lambda: references(START, each="- id: %0500d\n") + b"#\xc3", "not UTF-8"),
}


@pytest.fixture(scope="module")
def source() -> Iterator[Source]:
    with Source() as started:
        yield started


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, source: Source) -> Iterator[Service]:
    with Embedded(tmp_path_factory.mktemp("hostile"), source).service() as started:
        warm_up = references(OTHER, MIB)
        assert started.put(uuid4(), warm_up).status_code == 400
        yield started
        started.kill()  # it has much to do by then


def send(service: Service, kind: str) -> int:
    """Bytes of the body, which was refused with the right mistake."""
    make, mistake = KINDS[kind]
    body = make()
    answer = service.put(uuid4(), body)
    assert answer.status_code == 400, kind
    assert mistake in answer.text, kind
    return len(body)


def watched(service: Service, act: Callable[[], None]) -> tuple[float, int]:
    """The longest wait for health, of the best attempt, and the largest growth of the memory while `act` went on."""
    assert service.process is not None
    pid = service.process.pid
    waits, growths = [], []
    for _ in range(ATTEMPTS):
        before = rss_of(pid)
        with watching(service.url, pid) as seen:
            act()
        assert seen.probes > 3
        waits.append(seen.worst)
        growths.append(seen.rss - before)
        if waits[-1] < LONGEST_WAIT:
            break
    return min(waits), max(growths)


@pytest.mark.parametrize("kinds", [list(KINDS)[:2], list(KINDS)[2:]], ids=["read to the end", "refused on the way"])
def test_hostile_bodies_two_at_once_hold_up_nothing_and_take_at_most_four_times_their_size(
    service: Service, kinds: list[str]
) -> None:
    sizes: list[int] = []

    def act() -> None:
        with ThreadPoolExecutor(2) as threads:
            sizes.extend(threads.map(lambda kind: send(service, kind), kinds))

    wait, growth = watched(service, act)
    assert wait < LONGEST_WAIT
    assert growth < 4 * 2 * min(sizes)


def test_a_large_job_is_accepted_and_holds_up_nothing(service: Service, source: Source) -> None:
    source.script(delay_ms=60_000)
    body = references(START, 32 * MIB, "- id: %0120d\n")

    def act() -> None:
        assert service.put(uuid4(), body).status_code == 200

    wait, growth = watched(service, act)
    assert wait < LONGEST_WAIT
    assert growth < 4 * len(body)
