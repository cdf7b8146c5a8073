"""Runs the migrations on the connection that `app.db.migrations` hands over."""

from alembic import context
from app.db.metadata_tables import metadata
from app.db.occupancy import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
