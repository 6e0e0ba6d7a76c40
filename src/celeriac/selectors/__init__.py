"""Questions about tasks, queues and workers that commands, metrics and pages share; nothing here writes."""
