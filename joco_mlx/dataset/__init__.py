"""From git history to a dataset: read, filter, score, split, describe, check."""
