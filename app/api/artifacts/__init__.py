"""The endpoints of artifacts, and how artifacts are shown."""
