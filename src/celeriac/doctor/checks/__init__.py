"""One file per topic: the kinds of faults there, KINDS, and who looks for them, CHECKS."""
