"""Makes the small catalogue: `topics.txt` (our own text) -> rows and CSV files. See make_small.py."""
