"""Retrieval scores, one file a score; `score.py` says what a score is and how one gets its name."""
