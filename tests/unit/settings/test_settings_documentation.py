"""docs/configuration.md lists every property as the code has it."""

from pathlib import Path

from app.settings.binding import documentation_table
from app.settings.model import properties

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_table_of_properties_is_the_one_of_the_code() -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    _, _, rest = text.partition("compares -->\n")
    table, _, _ = rest.partition("<!-- end")
    assert table == documentation_table(properties()), "write documentation_table(properties()) into it"


def test_every_property_has_a_default_and_a_meaning() -> None:
    assert all(each.default and each.about for each in properties())
