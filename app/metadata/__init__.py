"""What is known of archived documents: definitions of metadata, runs that bring it up to date, search."""
