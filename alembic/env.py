"""Runs the migrations on the connection that `app.db.migrations` hands over."""

from alembic import context
from app.db.metadata_tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
