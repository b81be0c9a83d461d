"""The command line: compose the configuration, run, tell errors in one sentence."""
