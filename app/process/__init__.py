"""The process: composition root, probes of what it needs, changes of files, and the data directory."""
