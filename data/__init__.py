"""Stage 0: sound and text in, training JSONL out. Imports neither torch nor funasr nor anything of local/."""
