"""The benchmark: the whole service on real servers, next to the floor of what the work itself costs."""
