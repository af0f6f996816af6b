"""How often mechdyn's 95 % intervals hold the truth: `python -m experiments.coverage` writes the tables of docs/coverage.md."""
