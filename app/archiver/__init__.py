"""The steps of one archive task: resolve, fetch, check, describe, store, note, announce, record."""
