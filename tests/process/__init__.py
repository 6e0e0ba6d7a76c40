"""Real projects, real workers, real signals."""
