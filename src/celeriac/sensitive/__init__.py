"""Arguments that nobody may read: which they are, and what is shown instead."""

from celeriac.sensitive.keys import HIDDEN, is_sensitive, without
from celeriac.sensitive.rules import Rule, Rules, rules_of

__all__ = ("HIDDEN", "Rule", "Rules", "is_sensitive", "rules_of", "without")
