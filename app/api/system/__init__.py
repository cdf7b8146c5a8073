"""The endpoint of the state of the service, and its JSON."""
