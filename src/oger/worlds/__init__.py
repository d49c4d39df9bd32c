"""Small embedded worlds: problems, programmatic teachers and a base policy that need no download."""
