"""Settings: the model, the sources of values, reading and checking."""
