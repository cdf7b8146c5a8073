"""Story five, the state of the service itself: components, sources, work, dead letters and processes."""
