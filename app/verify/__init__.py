"""Story four: reads back what is stored, and says what is not as the database has it. Changes nothing."""
