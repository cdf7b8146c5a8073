"""The authorities that outgoing TLS trusts: the system's, or SSL_CERT_FILE and SSL_CERT_DIR, for all connections."""

import ssl
from pathlib import Path


def trusted(authorities: Path | None = None) -> ssl.SSLContext:
    """A context for clients; certificates and host names are checked. OpenSSL itself looks at both variables.

    `authorities` is a PEM file of others, which are then the only ones. Raises OSError where it cannot be read.

    Reads some hundred authorities, which takes 20 ms: made once for each session, not for each request.
    """
    return ssl.create_default_context(cafile=authorities)
