"""Whom outgoing TLS trusts: what the system trusts, or SSL_CERT_FILE and SSL_CERT_DIR, the same for everybody asked."""

import ssl


def trusted() -> ssl.SSLContext:
    """A context for clients; certificates and host names are checked. OpenSSL itself looks at both variables.

    Reads some hundred authorities, which takes 20 ms: made once for each session, not for each request.
    """
    return ssl.create_default_context()
