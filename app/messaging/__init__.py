"""What moves messages: the relay from the database to the broker, the consumer, and who handles what."""
