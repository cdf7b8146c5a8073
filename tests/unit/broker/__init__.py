"""Messages, codec and the embedded broker, without a server."""
