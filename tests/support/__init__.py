"""What tests of the whole service share: the service as a process, its surroundings, and readers of what it left."""
