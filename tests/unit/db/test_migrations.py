"""The migrations of this release are known by their files, without the tool that runs them."""

from alembic.config import Config
from alembic.script import ScriptDirectory

from app.db import migrations


def test_the_number_of_each_file_is_its_migration_and_the_highest_is_the_newest() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations.LOCATION))
    scripts = ScriptDirectory.from_config(config)
    assert migrations.known() == {script.revision for script in scripts.walk_revisions()}
    assert migrations.head() == scripts.get_current_head()
