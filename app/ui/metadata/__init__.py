"""The views of metadata runs."""
