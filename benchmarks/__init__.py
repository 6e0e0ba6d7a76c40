"""Celeriac beside its peers, measured on this machine: `make bench`; no test asserts a time."""
