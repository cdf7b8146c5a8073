"""The servers of tests.servers do what the tests rely on: real answers, and data that survives a kill."""

import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import jwt
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from botocore.exceptions import ClientError

from tests.servers import DEFAULT_CLIENTS, Kafka, Oidc, Postgres, Registry, SeaweedFS


async def produce(kafka: Kafka, topic: str, *values: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, enable_idempotence=True) as producer:
        for value in values:
            await producer.send_and_wait(topic, value)


async def consume(kafka: Kafka, topic: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=kafka.bootstrap, group_id=f"g-{topic}", auto_offset_reset="earliest"
    )
    async with consumer:
        return [(await consumer.getone()).value for _ in range(count)]


async def test_kafka_takes_and_gives_messages_and_keeps_them_through_a_kill(kafka: Kafka) -> None:
    topic = f"t-{uuid4()}"
    kafka.create_topic(topic, partitions=2)
    await produce(kafka, topic, b"before")
    bootstrap = kafka.bootstrap
    kafka.kill()
    kafka.start()
    assert kafka.bootstrap == bootstrap
    await produce(kafka, topic, b"after")
    assert sorted(await consume(kafka, topic, 2)) == [b"after", b"before"]


def test_the_registry_keeps_schemas_and_their_ids_through_a_stop_and_wants_them_compatible(registry: Registry) -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "string"}]}
    subject = f"s-{uuid4()}"
    schema_id = registry.register(subject, schema)
    registry.restart()
    assert registry.register(subject, schema) == schema_id
    assert subject in registry.subjects()
    with pytest.raises(httpx.HTTPStatusError, match="409"):
        registry.register(subject, {**schema, "fields": [{"name": "b", "type": "int"}]})


async def test_postgres_keeps_commits_through_a_kill(postgres: Postgres) -> None:
    url = postgres.create_database(f"d-{uuid4()}")
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE job (id int PRIMARY KEY); INSERT INTO job VALUES (7)")
    postgres.kill()
    await connection.close(timeout=1)
    postgres.start()
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT id FROM job") == 7
    assert await connection.fetchval("SHOW max_connections") == "200"
    await connection.close()


def test_postgres_copies_a_template_and_drops_it_again(postgres: Postgres) -> None:
    template, copy = f"d-{uuid4()}", f"d-{uuid4()}"
    postgres.create_database(template)
    postgres.execute("CREATE TABLE job (id int)", template)
    postgres.create_database(copy, template=template)
    postgres.execute("SELECT id FROM job", copy)
    postgres.drop_database(copy)
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        postgres.execute("SELECT 1", copy)


def test_s3_locks_objects_and_refuses_a_second_write(s3: SeaweedFS) -> None:
    bucket = s3.create_bucket(f"b-{uuid4()}")
    client = s3.client()
    until = datetime.now(UTC) + timedelta(days=1)
    lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
    put = client.put_object(Bucket=bucket, Key="a/v0", Body=b"{}", IfNoneMatch="*", ChecksumAlgorithm="SHA256", **lock)
    with pytest.raises(ClientError) as refused:
        client.put_object(Bucket=bucket, Key="a/v0", Body=b"[]", IfNoneMatch="*")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    with pytest.raises(ClientError, match="AccessDenied"):
        client.delete_object(Bucket=bucket, Key="a/v0", VersionId=put["VersionId"])
    assert client.get_object(Bucket=bucket, Key="a/v0")["Body"].read() == b"{}"


def test_s3_knows_a_lesser_identity_and_refuses_a_wrong_secret(s3: SeaweedFS) -> None:
    bucket = s3.create_bucket(f"b-{uuid4()}", lock=False)
    lesser = s3.client(s3.readwrite_access_key, s3.readwrite_secret_key)
    lesser.put_object(Bucket=bucket, Key="a", Body=b"a")
    with pytest.raises(ClientError, match="AccessDenied"):
        lesser.create_bucket(Bucket=f"b-{uuid4()}")
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        s3.client(s3.access_key, "wrong").list_buckets()


def test_s3_keeps_objects_through_a_kill(s3: SeaweedFS) -> None:
    bucket = s3.create_bucket(f"b-{uuid4()}")
    s3.client().put_object(Bucket=bucket, Key="a", Body=b"kept")
    s3.kill()
    s3.start()
    assert s3.client().get_object(Bucket=bucket, Key="a")["Body"].read() == b"kept"


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256", "ES256"])
def test_tokens_are_signed_by_a_listed_key(oidc: Oidc, algorithm: str) -> None:
    token = oidc.token("pas-admin", algorithm=algorithm, ttl=60)
    key = jwt.PyJWKClient(oidc.jwks_uri).get_signing_key_from_jwt(token)
    claims = jwt.decode(token, key.key, algorithms=[algorithm], audience="psf-archive", issuer=oidc.issuer)
    assert claims["userroles"] == ["psf_@backfilljob_#read", "psf_@backfilljob_#write"]
    assert (claims["name"], claims["ext_id"]) == ("John Doe", "287365")
    assert claims["exp"] - claims["iat"] == 60


def test_each_client_gets_a_token_and_its_requests_are_counted(oidc: Oidc) -> None:
    # without a secret, or for the page, a person logs in
    with_secrets = [client for client in DEFAULT_CLIENTS if client.client_secret and not client.page]
    for client in with_secrets:
        before = oidc.token_requests(client.client_id)
        claims = jwt.decode(oidc.token(client.client_id), options={"verify_signature": False})
        assert claims["client_id"] == client.client_id
        assert oidc.token_requests(client.client_id) == before + 1
        if client == with_secrets[-1]:
            assert claims["scope"] == "documents:read"


def test_a_wrong_client_secret_gets_no_token(oidc: Oidc) -> None:
    form = {"grant_type": "client_credentials"}
    assert httpx.post(oidc.token_uri, data=form, auth=("pas-writer", "wrong")).status_code == 401


def test_a_token_says_what_a_test_wants(oidc: Oidc) -> None:
    token = oidc.token("pas-reader", claims={"bproles": {"7": ["psf_@backfilljob_#write"]}}, audience="other")
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["bproles"] == {"7": ["psf_@backfilljob_#write"]}
    assert claims["aud"] == "other"


def test_servers_die_with_a_killed_parent(tmp_path: Path) -> None:
    program = (
        "import sys, time; from tests.servers import Postgres\n"
        "p = Postgres().start(); print(p.process.pid, p.data, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    pid, data = parent.stdout.readline().split()
    os.kill(int(pid), 0)
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 10
    while (Path(data) / "cluster" / "postmaster.pid").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not (Path(data) / "cluster" / "postmaster.pid").exists()
    shutil.rmtree(data)
