"""Story five, the service itself: what is well and what is not, and which processes there are."""
