"""What a person asks for: submit a job, read its report, look at it, redrive it."""
