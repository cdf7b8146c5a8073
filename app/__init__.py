"""The Process Archive Service."""
