"""The YAML body of a submission: read from libyaml's events, with all its mistakes."""
