"""What a person does with jobs: submit a job, read its report, follow it, pause, cancel, redrive or retry it."""
