"""Makes a Meta Kaggle of today's size. See make_meta_kaggle.py."""
