"""Predicting the retrieval scores of a step, or of a later one, from the hidden state (3.4, A.5, Table 2)."""
