"""Stages 1-3: training JSONL in, models and scores out. May import `data`, never the other way round."""
