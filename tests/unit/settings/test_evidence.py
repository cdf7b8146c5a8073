"""Settings of evidence: a key in PEM with its lines, the name of the key, keys of the past."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.domain.notes import private_pem, verifier_key
from app.process import adapters
from app.settings.load import SettingsError, load_settings
from app.settings.model import Settings
from tests.unit.settings.test_settings import COMPLETE

KEY = Ed25519PrivateKey.generate()
PEM = private_pem(KEY).decode()
VARIABLE = "JEAP_PROCESSARCHIVE_EVIDENCE_SIGNING_KEY"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(environ: dict[str, str], more: str = "", embedded: Path | None = None) -> Settings:
    file = Path("application.yml")
    file.write_text(COMPLETE + more)
    return load_settings(file, environ, embedded=embedded)


def mistakes(environ: dict[str, str], more: str = "") -> list[str]:
    with pytest.raises(SettingsError) as refused:
        load(environ, more)
    return refused.value.mistakes


def test_the_key_comes_from_a_variable_a_file_or_the_settings_file() -> None:
    Path("key.pem").write_text(PEM)
    indented = "".join(f"  {line}\n" for line in PEM.splitlines())
    for settings in (
        load({VARIABLE: PEM}),
        load({VARIABLE: PEM.replace("\n", " ").strip()}),
        load({VARIABLE: PEM.replace("\n", "\r\n")}),
        load({f"{VARIABLE}_FILE": "key.pem"}),
        load({}, f"jeap.processarchive.evidence.signing-key: |\n{indented}"),
    ):
        signer = adapters.signer(settings)
        assert signer is not None
        assert signer.verifier == verifier_key(settings.evidence.key_name, KEY)


def test_the_key_is_named_for_system_and_service_unless_it_has_a_name() -> None:
    assert load({}).evidence.key_name == "psf/pas"
    other = {"JEAP_PROCESSARCHIVE_BACKFILL_SYSTEM_NAME": "My System"}
    assert load(other).evidence.key_name == "My-System/pas"
    assert load({}, "jeap.processarchive.evidence.key-name: archive.example.org\n").evidence.key_name == (
        "archive.example.org"
    )


def test_without_a_key_nothing_is_signed_but_embedded() -> None:
    assert adapters.signer(load({})) is None
    embedded = load({}, embedded=Path("data"))
    first, second = adapters.signer(embedded), adapters.signer(embedded)
    assert first is not None
    assert second is not None
    assert first.verifier == second.verifier
    assert Path("data/evidence/key.pem").is_file()


def test_mistakes_name_the_property_and_never_show_the_key() -> None:
    for pem, said in ((PEM.replace("M", "N"), "must be an Ed25519 key"), ("x", "PKCS#8"), (PEM[:-5], "PKCS#8")):
        (mistake,) = mistakes({VARIABLE: pem})
        assert mistake.startswith("jeap.processarchive.evidence.signing-key: ")
        assert said in mistake
        assert PEM.splitlines()[1] not in mistake
    assert "evidence.key-name: must be a name" in mistakes({}, "jeap.processarchive.evidence.key-name: a b\n")[0]
    assert "is not a verifier key" in mistakes({}, "jeap.processarchive.evidence.former-keys: [x]\n")[0]
    invisible = mistakes({VARIABLE: PEM.replace("\n", "\n\u200b", 1)})[0]
    assert "an invisible character" in invisible


def test_a_timestamp_authority_needs_a_key() -> None:
    more = "jeap.processarchive.evidence.timestamp-url: http://tsa.example.org\n"
    assert "needs jeap.processarchive.evidence.signing-key" in mistakes({}, more)[0]
    assert load({VARIABLE: PEM}, more).evidence.timestamp_url == "http://tsa.example.org"
    assert load({}, more, Path("data")).embedded


def test_keys_of_the_past_are_a_list() -> None:
    old = str(verifier_key("old", KEY))
    assert load({}, f"jeap.processarchive.evidence.former-keys: ['{old}']\n").evidence.former_keys == (old,)
    assert load({"JEAP_PROCESSARCHIVE_EVIDENCE_FORMER_KEYS": f"{old}, {old}"}).evidence.former_keys == (old,)


def test_the_key_is_a_secret() -> None:
    settings = load({VARIABLE: PEM})
    assert PEM.splitlines()[1] not in repr(settings)
