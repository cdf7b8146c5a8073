"""The views of artifacts."""
