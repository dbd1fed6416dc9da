"""Makes the small catalogue from `topics.txt`, which is our own text. See make_small.py."""
