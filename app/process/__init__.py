"""The process: builds all objects, probes the services it needs, reloads changed files, owns the data directory."""
