"""The report on an experiment: one page to show, to read and to listen to. Imports neither torch nor funasr."""
