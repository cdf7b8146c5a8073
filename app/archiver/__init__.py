"""What a command sets off: resolve, fetch, check, describe, store, note, announce, record."""
