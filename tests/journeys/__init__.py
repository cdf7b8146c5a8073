"""One story per file: the service as users and operators meet it."""
