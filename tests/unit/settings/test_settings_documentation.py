"""docs/configuration.md lists every property as the code has it."""

import re
from pathlib import Path

from app.settings.binding import documentation_table
from app.settings.model import properties
from app.settings.variables import spring_variable_of, variable_of

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_table_of_properties_is_the_one_of_the_code() -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    _, _, rest = text.partition("compares -->\n")
    table, _, _ = rest.partition("<!-- end")
    assert table == documentation_table(properties()), "write documentation_table(properties()) into it"


def test_every_property_has_a_default_and_a_meaning() -> None:
    assert all(each.default and each.about for each in properties())


def test_the_variables_that_the_text_shows_are_spellings_of_properties_in_both_ways() -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    shown = {variable.removesuffix("_FILE") for variable in re.findall(r"\bJEAP_[A-Z0-9_]+", text)}
    names = [each.name.replace("<id>", "example-source") for each in properties()]
    ours, springs = {variable_of(name) for name in names}, {spring_variable_of(name) for name in names}
    assert shown <= ours | springs
    for other in (ours - springs, springs - ours):
        assert any("_ISSUERS_0_" in each or "_CLIENT_" in each for each in shown & other)
        assert any("_BACKFILL_" in each for each in shown & other)
