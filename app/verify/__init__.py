"""Story four: reads back the stored objects, and reports differences from the database. Changes nothing."""
