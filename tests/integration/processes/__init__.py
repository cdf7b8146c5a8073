"""Tests of what the service and the command line do in processes of their own; they need no server."""
