"""Measurements on this machine; no test asserts a time."""
