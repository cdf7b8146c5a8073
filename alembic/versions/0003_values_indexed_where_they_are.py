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


def upgrade() -> None:
    for column in ("number", "text_head"):
        name = _drop(column)
        present = sa.text(f"{column} IS NOT NULL")
        op.create_index(
            name,
            "artifact_metadata",
            ["key", column, "artifact_id"],
            postgresql_where=present,
            sqlite_where=present,
        )


def downgrade() -> None:
    for column in ("number", "text_head"):
        op.create_index(_drop(column), "artifact_metadata", ["key", column, "artifact_id"])


def _drop(column: str) -> str:
    name = f"ix_artifact_metadata_{column.removesuffix('_head')}"
    op.drop_index(name, table_name="artifact_metadata")
    return name
