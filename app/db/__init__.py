"""Tables, sessions, and queries as facts. Queries never commit: the caller's transaction is the unit."""
