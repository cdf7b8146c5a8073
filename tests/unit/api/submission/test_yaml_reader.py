"""Small bodies are read in this process; large ones: tests/integration/processes/test_yaml_reader.py."""

import pytest

from app.api.submission import reader as yaml_reader
from app.api.submission.reader import YamlReader


async def test_a_small_body_needs_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_reader, "_WORKER", "raise SystemExit(1)")
    reader = YamlReader(inline=1000)
    assert (await reader.read(bytearray(b"message: M\n"), 10)).message == "M"
    await reader.close()
