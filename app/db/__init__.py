"""Tables, sessions and queries. A query never commits: it runs in the transaction of its caller."""
