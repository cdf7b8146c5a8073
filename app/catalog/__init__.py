"""The settings files that say what is archived: archive types (where data comes from) and schemas (what it must be)."""
