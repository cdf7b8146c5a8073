"""The endpoint of the service itself, and how it is shown."""
