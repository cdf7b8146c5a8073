"""Pure values and functions: no I/O, no settings, nothing from the rest of the app."""
