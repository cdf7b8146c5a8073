"""The demonstration of the service, `make demo`."""
