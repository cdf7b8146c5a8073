"""The guide to take away the right to change the audit log (docs/audit.md), followed on PostgreSQL."""

import re
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.db import audit, migrations
from app.db.database import Database
from app.db.dialect import open_engine
from app.domain.audit import Act, Actor, AuditEntry
from app.domain.errors import Unavailable
from tests.servers import Postgres

GUIDE = Path(__file__).resolve().parents[2] / "docs/audit.md"


def as_role(url: str, role: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:secret@{host}"))


async def execute(url: str, *statements: str) -> None:
    engine = open_engine(url)
    async with engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))
    await engine.dispose()


async def test_the_role_of_the_service_can_add_entries_and_change_none(postgres: Postgres) -> None:
    mark = uuid4().hex[:8]
    owner, service = f"pas_owner_{mark}", f"pas_{mark}"
    [guide] = re.findall(r"```sql\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    lines = [line for line in guide.splitlines() if not line.startswith("--")]
    named = "\n".join(lines).replace("'…'", "'secret'")
    named = re.sub(r"\bpas_owner\b", owner, named)
    named = re.sub(r"\bpas\b", service, named)
    statements = [each.strip() for each in named.split(";") if each.strip()]
    url = postgres.create_database(f"rights-{mark}")
    roles, grants = statements[:2], statements[2:]
    assert all(each.startswith("CREATE ROLE") for each in roles)
    await execute(
        url, *roles, f"GRANT ALL ON SCHEMA public TO {owner}", f'GRANT CREATE ON DATABASE "rights-{mark}" TO {owner}'
    )
    as_owner = Database(as_role(url, owner))
    await migrations.migrate(as_owner)
    await as_owner.close()
    await execute(as_role(url, owner), *grants)

    database = Database(as_role(url, service))
    try:
        entry = AuditEntry(Act.JOB_PAUSED, "job/1", datetime.now(UTC), Actor("dora"))
        for _ in range(2):
            await database.run(lambda c: audit.append(c, [entry]))
        async with database.reading() as connection:
            assert [each.seq for each in await audit.following(connection, -1)] == [0, 1]
        for statement in (
            "UPDATE audit_entry SET who_subject = 'erik'",
            "DELETE FROM audit_entry",
            "TRUNCATE audit_entry",
            "ALTER TABLE audit_entry DISABLE TRIGGER ALL",
            "DROP TABLE audit_entry",
        ):
            with pytest.raises((DBAPIError, Unavailable), match=r"permission denied|must be owner|42501"):
                await database.run(lambda c, said=statement: c.execute(text(said)))  # type: ignore[misc]
    finally:
        await database.close()
        postgres.drop_database(f"rights-{mark}")
