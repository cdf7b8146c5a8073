"""The texts of `jeap-cli pas-backfill`, word by word: scripts of its users search for them. Those of CSV files are in
`domain.references_csv`."""

BOTH_SOURCES = "Error: archiveDataReferences defined in both YAML and --references-csv. Use one source only."
NO_REFERENCES = "Error: No archiveDataReferences provided. Define them in the YAML file or use --references-csv."
MISSING_TOKEN = "Missing access token. Provide --access-token or pipe the token to stdin."  # noqa: S105


def invalid_value(text: str, path: str) -> str:
    return f"Invalid YAML value '{text}' for {path}. Must be an integer."


def not_found(path: object) -> str:
    return f"File not found: {path}"


def not_parsed(path: object, why: object) -> str:
    return f"Could not parse file {path}: {why}"


def created(job_id: object, references: int) -> str:
    return f"Backfill job {job_id} created successfully. {references} references submitted."


def exists(job_id: object) -> str:
    return f"Job {job_id} already exists."


def no_job(job_id: object) -> str:
    return f"Job {job_id} not found."


def failed(status: int) -> str:
    return f"PAS request failed with HTTP status {status}"


def report_written(path: object) -> str:
    return f"Report written to {path}"
