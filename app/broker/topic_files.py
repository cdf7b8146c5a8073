"""Topics as files for the embedded service: one JSON object a line, on disk before `append` returns."""

import asyncio
import base64
import contextlib
import os
import re
from pathlib import Path
from typing import Any

import orjson

from app.broker import Message, MessageRejected
from app.domain.errors import Unavailable
from app.domain.json_lines import on_one_line
from app.domain.readiness import BROKER

_NAME = re.compile(r"[a-zA-Z0-9._-]{1,240}")
"""Kafka's own characters; 240 leaves room for the suffix in the 255 bytes of a file name."""

_WINDOW = 64 * 1024
"""How much is read at a time when the end of the last whole line is looked for."""


class TopicFiles:
    """`<directory>/<topic>.jsonl` for each topic. Sends that wait together share one write and one fsync."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._waiting: list[tuple[str, bytes, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Raises Unavailable if the directory cannot be made or a torn line not be cut off."""
        try:
            await asyncio.to_thread(self._repair)
        except OSError as error:
            raise _unavailable(error) from error

    async def append(self, message: Message) -> None:
        """Returns once the line is on disk. Raises MessageRejected for a name that is no topic, Unavailable."""
        if _NAME.fullmatch(message.topic) is None or message.topic in (".", ".."):
            raise MessageRejected(message.topic[:100], "this is not a topic name: letters, digits, '.', '_' and '-'")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((message.topic, line_of(message), done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_waiting())
        await done

    async def close(self) -> None:
        if self._writer is not None:
            await self._writer

    async def _write_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            lines: dict[str, list[bytes]] = {}
            for topic, line, _ in batch:
                lines.setdefault(topic, []).append(line)
            failed = await asyncio.to_thread(self._write, lines)
            for topic, _, done in batch:
                if done.done():  # its sender was cancelled
                    continue
                if topic in failed:
                    done.set_exception(_unavailable(failed[topic]))
                else:
                    done.set_result(None)

    def _write(self, lines: dict[str, list[bytes]]) -> dict[str, OSError]:
        """Appends to each topic; returns the errors by topic. A topic with an error is left as it was."""
        failed: dict[str, OSError] = {}
        for topic, several in lines.items():
            try:
                _append(self._directory / f"{topic}.jsonl", b"".join(several))
            except OSError as error:
                failed[topic] = error
        return failed

    def _repair(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        for path in self._directory.glob("*.jsonl"):
            file = os.open(path, os.O_RDWR)
            try:
                _cut_torn_line(file)
            finally:
                os.close(file)


def line_of(message: Message) -> bytes:
    """The line of a message: `key`, `headers`, `value`, and a line feed.

    `value` is the JSON that the bytes are, null for a tombstone; `key` is a JSON object or text; `headers` is an
    object, with a list where a name stands several times. Bytes that are none of these are `{"base64": …}`.
    """
    headers: dict[str, Any] = {}
    for name, value in message.headers:
        shown = None if value is None else _text(value)
        if name not in headers:
            headers[name] = shown
        elif isinstance(headers[name], list):
            headers[name].append(shown)
        else:
            headers[name] = [headers[name], shown]
    key = message.key
    shown_key = None if key is None else (_json(key) if key[:1] == b"{" else None) or _text(key)
    shown_value = None if message.value is None else _json(message.value) or _base64(message.value)
    return on_one_line(orjson.dumps({"key": shown_key, "headers": headers, "value": shown_value})) + b"\n"


def _json(data: bytes) -> orjson.Fragment | None:
    try:
        return orjson.Fragment(orjson.dumps(orjson.loads(data)))  # dumped on its own: nested too deep is no JSON here
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None


def _text(data: bytes) -> Any:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return _base64(data)


def _base64(data: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(data).decode()}


def _append(path: Path, data: bytes) -> None:
    """Writes and syncs; opened each time, so that a file that was moved away is made again."""
    is_new = not path.exists()
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        before = _cut_torn_line(file)
        try:
            _write_all(file, data, before)
            os.fsync(file)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(file, before)
            raise
    finally:
        os.close(file)
    if is_new:
        _sync_directory(path.parent)


def _write_all(file: int, data: bytes, offset: int) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(file, rest, offset)
        rest, offset = rest[written:], offset + written


def _cut_torn_line(file: int) -> int:
    """Cuts off what stands after the last line feed; the size then."""
    size = os.fstat(file).st_size
    end = size
    while end:
        start = max(end - (1 if end == size else _WINDOW), 0)
        found = os.pread(file, end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end < size:
        os.ftruncate(file, end)
    return end


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unavailable(error: OSError) -> Unavailable:
    where = f" ({error.filename})" if error.filename else ""
    return Unavailable(BROKER, f"topic files cannot be written: {error.strerror or error}{where}")
