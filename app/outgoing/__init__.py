"""Shared by all outgoing requests: connections that refuse unrequested answers, and the authorities that TLS trusts."""
