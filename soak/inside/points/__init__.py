"""An app of the throw-away project that ends a process at a named point; nothing of it is in Celeriac."""
