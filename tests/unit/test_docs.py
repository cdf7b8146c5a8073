"""The documents are true where they can be compared: metrics, links, make targets, files of the map, settings."""

import fnmatch
import re
from pathlib import Path

import pytest
from prometheus_client import Counter
from prometheus_client.metrics import MetricWrapperBase

from app.settings.model import properties
from app.telemetry import metrics

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]

documents = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def anchors(document: Path) -> set[str]:
    """The fragments of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@documents
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", document.read_text()):
        if target.startswith("https://"):
            continue
        path, _, fragment = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        assert file.exists(), target
        assert not fragment or fragment in anchors(file), target


@documents
def test_make_targets_are_there(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = document.read_text()
    shown = set(re.findall(r"`make ([a-z-]+)`", text)) | set(re.findall(r"^make ([a-z-]+)", text, re.MULTILINE))
    assert shown <= targets


@documents
def test_settings_are_there(document: Path) -> None:
    known = {re.sub(r"\[0\]|<id>", "*", each.name) for each in properties()}
    groups = {name.rsplit(".", count)[0] for name in known for count in range(1, name.count(".") + 1)}
    named = set(re.findall(r"`(jeap\.[\w.<>\[\]-]*\w)`", document.read_text()))
    assert {re.sub(r"\[0\]|<id>", "*", name) for name in named} <= known | groups


def table_of_metrics() -> str:
    """What docs/operations.md must have."""
    lines = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    seen = set()
    for value in vars(metrics).values():
        if isinstance(value, MetricWrapperBase) and not value._labelvalues and id(value) not in seen:
            seen.add(id(value))
            name = value._name + ("_total" if isinstance(value, Counter) else "")
            labels = ", ".join(f"`{label}`" for label in value._labelnames) or "–"
            lines.append(f"| `{name}` | {value._type} | {labels} | {value._documentation} |")
    return "\n".join(lines) + "\n"


def test_the_table_of_metrics_is_the_one_of_the_code() -> None:
    assert table_of_metrics() in (ROOT / "docs/operations.md").read_text(), table_of_metrics()


def test_every_metric_is_used() -> None:
    code = "".join(path.read_text() for path in (ROOT / "app").rglob("*.py") if path.name != "metrics.py")
    bound = [
        name
        for name, value in vars(metrics).items()
        if isinstance(value, MetricWrapperBase) and not name.startswith("_")
    ]
    assert [name for name in bound if f"metrics.{name}" not in code] == []


def test_the_map_names_what_is_there() -> None:
    """Every package of app/ is in the tree of docs/architecture.md, and every file named there exists."""
    tree = (ROOT / "docs/architecture.md").read_text().split("```")[1]
    files = {path.name for path in (ROOT / "app").rglob("*.py")}
    for name in re.findall(r"\b\w+\*?\.py\b", tree):
        assert fnmatch.filter(files, name), name
    packages = {path.parent.name for path in (ROOT / "app").glob("*/__init__.py")}
    assert packages <= set(re.findall(r"^[├└]── (\w+)/", tree, re.MULTILINE))


def test_decisions_are_listed() -> None:
    listed = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (ROOT / "docs/decisions/README.md").read_text())
    assert listed == sorted(path.name for path in (ROOT / "docs/decisions").glob("0*.md"))
