"""Whether the workers are there and go on: asked in code, by a probe, over HTTP."""
