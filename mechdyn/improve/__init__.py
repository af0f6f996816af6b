"""From finding to improving: other ways to decode or to weigh heads, and the one evaluation that all of them are put to."""
