"""The schedule: which tasks are due when, and each due time fires once, however many workers there are."""
