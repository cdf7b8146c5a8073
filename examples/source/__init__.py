"""The example source service of `make demo`."""
