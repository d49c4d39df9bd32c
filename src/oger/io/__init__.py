"""Files: whole or not at all, locked, read as rows."""
