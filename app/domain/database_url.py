"""The options in the query of a database URL: TLS, schema, pooler. Nothing else decides about the connection."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
"""As libpq has them; the last two check the certificate of the server."""

CHECKED_MODES = ("require", "verify-ca", "verify-full")
"""Those in which a root certificate is looked at: `require` with one is `verify-ca`, as in libpq."""

POOLERS = ("session", "transaction")
"""How long a client of a pooler keeps its server connection."""

SESSIONS = ("any", "read-write", "primary")
"""Which of several hosts is used: the first that answers, that accepts writes, or that is no standby."""

OPTIONS = (
    "sslmode",
    "ssl",
    "application_name",
    "host",
    "port",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "pooler",
    "options",
    "target_session_attrs",
)
"""`ssl` is another name of `sslmode`; `host` and `port` name several servers, or the directory of a socket."""

SYSTEM = "system"
"""As `sslrootcert`: what the system trusts, in libpq's words. It is the default here."""

_SCHEMA = re.compile(r"(?:-c\s*|--)search_path=([A-Za-z_][A-Za-z0-9_$]{0,62})")
_NAME = re.compile(r"[A-Za-z_]{1,30}")


@dataclass(frozen=True, slots=True)
class DatabaseOptions:
    """The options of one URL. Paths are as given; `schema` is where the tables are, None for what the role has."""

    sslmode: str = "prefer"
    sslrootcert: str | None = None
    sslcert: str | None = None
    sslkey: str | None = None
    application_name: str | None = None
    pooler: str = "session"
    schema: str | None = None
    target_session_attrs: str = "any"


def database_options(query: str) -> DatabaseOptions:
    """The options in the query of a URL. Raises ValueError with a reason that contains no other part of the URL."""
    given: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in OPTIONS:
            named = f" {name}" if _NAME.fullmatch(name) else ""
            raise ValueError(f"has an option{named} that is not known; there are {', '.join(OPTIONS)}")
        if name in given and name not in ("host", "port"):
            raise ValueError(f"has the option {name} twice")
        given[name] = value
    if "ssl" in given and "sslmode" in given:
        raise ValueError("has both sslmode and ssl, which is another name of it")
    mode = given.get("sslmode", given.get("ssl", "prefer"))
    if mode not in SSL_MODES:
        raise ValueError(f"{'ssl' if 'ssl' in given else 'sslmode'} must be one of {', '.join(SSL_MODES)}")
    for name, words in (("pooler", POOLERS), ("target_session_attrs", SESSIONS)):
        if given.get(name, words[0]) not in words:
            raise ValueError(f"{name} must be one of {', '.join(words)}")
    root = given.get("sslrootcert")
    if root == SYSTEM and mode != "verify-full":
        raise ValueError("sslrootcert=system needs sslmode=verify-full: everybody can have a certificate of those")
    if root is not None and mode not in CHECKED_MODES:
        raise ValueError(f"sslrootcert has no effect with sslmode={mode}; it needs sslmode=verify-full")
    if "sslkey" in given and "sslcert" not in given:
        raise ValueError("sslkey is given, but no sslcert")
    if "sslcert" in given and mode == "disable":
        raise ValueError("sslcert is given, but sslmode is disable")
    return DatabaseOptions(
        sslmode=mode,
        sslrootcert=None if root == SYSTEM else root,
        sslcert=given.get("sslcert"),
        sslkey=given.get("sslkey"),
        application_name=given.get("application_name"),
        pooler=given.get("pooler", "session"),
        schema=_schema(given["options"]) if "options" in given else None,
        target_session_attrs=given.get("target_session_attrs", "any"),
    )


def _schema(options: str) -> str:
    found = _SCHEMA.fullmatch(options.strip())
    if found is None:
        raise ValueError("options must be -csearch_path=NAME with the name of one schema; nothing else is set with it")
    return found[1].lower()  # as PostgreSQL reads it there
