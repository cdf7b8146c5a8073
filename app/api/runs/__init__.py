"""The endpoints of metadata runs, and how runs are shown."""
