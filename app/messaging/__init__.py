"""Moves messages: the relay from the database to the broker, the consumer, and the handlers of messages."""
