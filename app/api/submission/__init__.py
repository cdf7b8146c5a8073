"""The YAML body of a submission, read from libyaml's events; all its mistakes are reported."""
