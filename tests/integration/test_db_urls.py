"""Options of a database URL reach the server."""

import pytest
from sqlalchemy import text

from app.db.database import Database
from app.domain.errors import Unavailable
from tests.servers import Postgres


async def test_options_of_the_url_are_used(postgres: Postgres) -> None:
    database = Database(f"{postgres.url()}?sslmode=disable&application_name=pas-7")
    try:
        async with database.reading() as connection:
            asked = text("SELECT current_setting('application_name')")
            assert (await connection.execute(asked)).scalar_one() == "pas-7"
    finally:
        await database.close()


async def test_a_server_without_tls_is_unavailable_where_it_is_required(postgres: Postgres) -> None:
    database = Database(f"{postgres.url()}?sslmode=require")
    try:
        with pytest.raises(Unavailable):
            await database.ping()
    finally:
        await database.close()
