"""The tests of the Process Archive Service; real servers come from tests.servers."""
