"""An app of the project: Huey looks for tasks in apps alone."""
