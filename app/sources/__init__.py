"""Source services: one attempt to fetch a record, the OAuth token for it, and how fast a source may be asked."""
