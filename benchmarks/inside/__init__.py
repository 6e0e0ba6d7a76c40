"""Files that are copied into every project and run there, whatever does its tasks."""
