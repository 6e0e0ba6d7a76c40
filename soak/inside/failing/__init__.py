"""A database engine that is the project's own, in which statements fail; see `base`."""
