"""The endpoints of jobs, and how jobs are shown."""
