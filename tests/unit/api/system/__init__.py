"""The endpoint of the service itself."""
