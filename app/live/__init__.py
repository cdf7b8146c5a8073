"""Story: what happens is archived. A message of a live archive type becomes a task."""
