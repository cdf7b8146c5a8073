"""An edge with only the parts that a test needs; asking for another one fails with its name."""

from dataclasses import fields
from typing import Any, cast

from fastapi import FastAPI

from app.api.edge import Edge, put_edge


class _Absent:
    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        raise AssertionError(f"this test has no {self._name}")


def edge_with(app: FastAPI, **parts: Any) -> None:
    """Gives `app` an edge of these parts."""
    names = [each.name for each in fields(Edge)]
    assert set(parts) <= set(names)
    put_edge(app, Edge(**{name: parts.get(name) or cast("Any", _Absent(name)) for name in names}))
