"""What is wrong with the ambient configuration of AWS is the store's problem, named while work waits: no crash."""

from pathlib import Path

import pytest

from app.domain.errors import Unavailable
from app.objectstore.s3 import S3Options, open_s3


@pytest.mark.parametrize(
    ("environment", "config", "said"),
    [
        ({"AWS_PROFILE": "missing"}, "", "missing"),
        ({"AWS_ENDPOINT_URL_S3": "nowhere"}, "[default]\nregion = eu-west-1\n", "nowhere"),
        ({}, "no section", "config"),
    ],
)
async def test_an_ambient_configuration_that_cannot_be_used_is_unavailable_with_the_reason(
    environment: dict[str, str], config: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(config)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    async with open_s3(S3Options(access_key="key", secret_key="secret")) as store:
        with pytest.raises(Unavailable) as away:
            await store.check(["bucket"])
    assert away.value.component == "objectstore"
    assert said in away.value.reason
