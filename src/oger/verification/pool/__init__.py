"""Worker processes that grade, each answer with a deadline."""
