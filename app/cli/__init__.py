"""The command line that talks to a service. It imports nothing of the server, so that it answers at once."""
