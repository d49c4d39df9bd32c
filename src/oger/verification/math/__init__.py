"""The grader of mathematical answers."""
