"""HTTP: limits of connections and requests, problems, and measurement."""
