"""The indexes of metadata values hold what can be searched only: no nulls, and of numbers only numbers.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


COLUMNS = {"ix_artifact_metadata_number": "number", "ix_artifact_metadata_text": "text_head"}


def upgrade() -> None:
    _make(only_present=True)


def downgrade() -> None:
    _make(only_present=False)


def _make(*, only_present: bool) -> None:
    """New ones beside the old, which go at the end: until then nobody who reads has to wait."""
    on_postgresql = op.get_bind().dialect.name == "postgresql"
    for name, column in COLUMNS.items():
        if not on_postgresql:  # cannot give an index another name
            op.drop_index(name, table_name="artifact_metadata")
        present = sa.text(f"{column} IS NOT NULL") if only_present else None
        op.create_index(
            f"{name}_new" if on_postgresql else name,
            "artifact_metadata",
            ["key", column, "artifact_id"],
            postgresql_where=present,
            sqlite_where=present,
        )
    for name in COLUMNS if on_postgresql else ():
        op.drop_index(name, table_name="artifact_metadata")
        op.execute(f"ALTER INDEX {name}_new RENAME TO {name}")
