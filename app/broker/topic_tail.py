"""Reads topics that are files as they grow: the live topics of the embedded service."""

import asyncio
import base64
import binascii
import json
import logging
import os
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import Any, NamedTuple

from app.broker import Beginnings, Bounds, Partition, Record
from app.domain.errors import Unavailable
from app.domain.exact_json import read_json, write_json
from app.domain.readiness import BROKER

LOOK_EVERY = 0.1
"""Seconds between two looks at the files."""

BLOCK = 1024 * 1024
"""Bytes that are read of a file at a time."""

ENVELOPE = {"key", "headers", "value"}
"""The keys of a line as the service itself writes it (`topic_files`). A line with others is a message without them."""

log = logging.getLogger(__name__)


class _TailLine(NamedTuple):
    """`end` is the byte behind its line feed."""

    text: bytes
    end: int


@dataclass
class _File:
    """A topic that is read. The number of a line is the offset of its record; `byte` is where the next one begins."""

    path: Path
    partition: Partition
    line: int = 0
    byte: int = 0
    committed: int = 0
    ends: deque[tuple[int, int]] = field(default_factory=deque)
    """Behind each line that is polled and not committed: the number of the next line, and its byte."""

    def read(self, most: int) -> list[_TailLine]:
        """The next whole lines, at most so many."""
        try:
            file = os.open(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return []
        try:
            if os.fstat(file).st_size < self.byte:
                log.warning("%s has become shorter: it is read from its beginning", self.path)
                self.line = self.byte = self.committed = 0
                self.ends.clear()
            return self._lines(file, most)
        finally:
            os.close(file)

    def _lines(self, file: int, most: int) -> list[_TailLine]:
        data, size = b"", BLOCK
        while b"\n" not in data:
            data = os.pread(file, size, self.byte)
            if len(data) < size:
                break
            size *= 2
        lines, end = [], self.byte
        for text in data.split(b"\n")[:-1][:most]:
            end += len(text) + 1
            lines.append(_TailLine(text, end))
        return lines


class TopicTail:
    """The one member of a group, which has all partitions until it stops. What it committed is kept in
    `<directory>/offsets/<group>.json`."""

    def __init__(self, directory: Path, topics: Sequence[str], group: str, beginnings: Beginnings) -> None:
        self._kept = directory / "offsets" / f"{group}.json"
        self._topics = tuple(topics)
        self._directory = directory / "topics"
        self._beginnings = beginnings
        self._files: dict[Partition, _File] = {}
        self._paused: set[Partition] = set()

    async def start(self, on_revoked: Callable[[Sequence[Partition]], Awaitable[None]]) -> None:
        """Returns at once; `poll` opens the files."""

    async def poll(self, timeout: float, max_records: int) -> Sequence[Record]:
        """See Consumer."""
        if not self._files:
            self._files = {file.partition: file for file in [await self._open(topic) for topic in self._topics]}
        end = time() + timeout
        while True:
            records = await asyncio.to_thread(self._read, max_records)
            if records or time() >= end:
                return records
            await asyncio.sleep(min(LOOK_EVERY, timeout))

    def pause(self, partitions: Sequence[Partition]) -> None:
        self._paused.update(partitions)

    def resume(self, partitions: Sequence[Partition]) -> None:
        self._paused.difference_update(partitions)

    def assigned(self) -> frozenset[Partition]:
        return frozenset(self._files)

    def lag(self) -> Mapping[str, int]:
        return {file.partition.topic: max(0, file.line - file.committed) for file in self._files.values()}

    async def commit(self, offsets: Mapping[Partition, int]) -> bool:
        """Returns once it is on disk. Raises Unavailable."""
        for partition, offset in offsets.items():
            self._files[partition].committed = offset
        try:
            await asyncio.to_thread(self._keep)
        except OSError as error:
            raise Unavailable(BROKER, f"offsets cannot be written: {error.strerror or error}") from error
        return True

    async def stop(self) -> None:
        self._files.clear()

    def _read(self, most: int) -> list[Record]:
        records: list[Record] = []
        for partition, file in self._files.items():
            if partition in self._paused:
                continue
            for line in file.read(most - len(records)):
                if line.text.strip():
                    records.append(_record(partition, file.line, line.text))
                file.line += 1
                file.byte = line.end
                file.ends.append((file.line, file.byte))
        return records

    async def _open(self, topic: str) -> _File:
        path = self._directory / f"{topic}.jsonl"
        partition = Partition(topic, 0)
        known = self._committed().get(topic)
        if known is not None:
            line, byte = known
            return _File(path, partition, line, byte, line, deque([(line, byte)]))
        if not path.exists():
            await self._beginnings.missing(topic)
        lines = await asyncio.to_thread(_ends_of_lines, path)
        begins = await self._beginnings.of(topic, [0], {0: Bounds(0, len(lines))})
        line = min(begins[0], len(lines))
        byte = lines[line - 1] if line else 0
        file = _File(path, partition, line, byte, line, deque([(line, byte)]))
        self._files[partition] = file
        await self.commit({partition: line})
        return file

    def _committed(self) -> dict[str, tuple[int, int]]:
        try:
            kept = json.loads(self._kept.read_text())
        except FileNotFoundError:
            return {}
        return {topic: (line, byte) for topic, (line, byte) in kept.items()}

    def _keep(self) -> None:
        kept = self._committed()
        for file in self._files.values():
            while file.ends and file.ends[0][0] < file.committed:
                file.ends.popleft()
            if file.ends and file.ends[0][0] == file.committed:
                kept[file.partition.topic] = file.ends[0]
        self._kept.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._kept.with_suffix(".tmp")
        with temporary.open("w") as out:
            json.dump(kept, out)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(self._kept)


def _ends_of_lines(path: Path) -> list[int]:
    """The byte behind each whole line."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    ends, at = [], 0
    while (at := data.find(b"\n", at) + 1) > 0:
        ends.append(at)
    return ends


def _record(partition: Partition, offset: int, text: bytes) -> Record:
    """The record of a line: `key`, `headers` and `value` as the service writes them, or the message alone."""
    now = time()
    try:
        line = read_json(text)
    except ValueError:
        return Record(partition, offset, None, text, (), now)  # not decodable: the dead letter topic has its bytes
    if not (isinstance(line, dict) and "value" in line and line.keys() <= ENVELOPE):
        return Record(partition, offset, None, text.strip(), (), now)
    key, value = line.get("key"), line["value"]
    return Record(
        partition,
        offset,
        None if key is None else _bytes(key),
        None if value is None else _bytes(value, is_json=True),
        tuple(_headers(line.get("headers"))),
        now,
    )


def _headers(headers: Any) -> list[tuple[str, bytes | None]]:
    if not isinstance(headers, dict):
        return []
    return [
        (name, None if each is None else _bytes(each))
        for name, value in headers.items()
        for each in (value if isinstance(value, list) else [value])
    ]


def _bytes(value: Any, *, is_json: bool = False) -> bytes:
    """Text as UTF-8, `{"base64": …}` as the bytes that it stands for, all else as JSON."""
    if isinstance(value, str) and not is_json:
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, dict) and value.keys() == {"base64"} and isinstance(value["base64"], str):
        try:
            return base64.b64decode(value["base64"], validate=True)
        except (binascii.Error, ValueError):
            pass
    return write_json(value).encode("utf-8", "surrogatepass")
