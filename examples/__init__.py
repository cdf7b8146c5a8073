"""Runnable examples; nothing of the service needs them."""
