"""The files that say what is archived: archive types (the sources of data) and schemas (the form of documents)."""
