"""Avro schemas, compiled: a strict check of encoded bytes, and a reader of their values. No I/O."""
