"""Rows that a training cannot use, each with its reason: counted and listed, never dropped in silence."""
from __future__ import annotations


def trainable_rows(rows: list[dict], longest: int) -> tuple[list[dict], list[dict]]:
    """Rows to train on, and `{key, reason}` of the others. `longest` in LFR frames of 60 ms."""
    kept, left_out = [], []
    for row in rows:
        reason = _reason(row, longest)
        if reason:
            left_out.append({"key": row["key"], "reason": reason})
        else:
            kept.append(row)
    return kept, left_out


def _reason(row: dict, longest: int) -> str | None:
    if row["speech_length"] > longest:
        return f"{row['speech_length']} frames, over dataset_conf.max_source_length {longest}"
    if row["text_length"] > row["speech_length"]:
        return f"{row['text_length']} characters in {row['speech_length']} frames: more than CTC can emit"
    return None
