"""The endpoints of evidence: keys, and proofs of jobs; and their JSON."""
