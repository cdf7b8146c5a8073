"""The views of archive types and of the service itself."""
