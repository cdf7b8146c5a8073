"""Who may call: tokens, the keys that sign them, and the roles that they give."""
