"""The `django://` broker: a kombu transport on the project's own database."""
