"""The report of a run: docs/reliability.md and .json."""
