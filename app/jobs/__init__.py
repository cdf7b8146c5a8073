"""The operations of people on jobs: submit, report, follow, pause, cancel, redrive, retry."""
