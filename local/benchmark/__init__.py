"""How fast, beside others, on this machine: `python -m local.benchmark`."""
