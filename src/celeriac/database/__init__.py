"""Connections that Celeriac owns, and what a database's errors mean; it knows no table."""
