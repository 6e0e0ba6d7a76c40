"""What speaks for each system under test: its `tasks.py` and `kit.py`."""
