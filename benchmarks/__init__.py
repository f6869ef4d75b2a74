"""What is timed, and against what. Each command writes one JSON record."""
