"""What a contestant's project has beside the settings: its `tasks.py`, and `kit.py`, which speaks for it."""
