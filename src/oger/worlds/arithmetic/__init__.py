"""A small real world: arithmetic of reasoning-gym, three programmatic teachers, a character-level base policy."""
