"""HTTP itself: limits of a connection and a request, problems, and what is measured."""
