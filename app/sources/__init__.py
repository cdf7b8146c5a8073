"""Source services: one attempt to fetch a record, the OAuth token it needs, and how fast a source may be asked."""
