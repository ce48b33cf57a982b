"""The rules: they read a session and say what is ill. Neither torch nor Qt."""

from convdebug.rules.causes import CAUSES
from convdebug.rules.facts import Facts
from convdebug.rules.judgement import Verdict, diagnose, judge
from convdebug.rules.listing import RULES, explain, rule_named, rules_table
from convdebug.rules.rule import GROUPS, SEVERITIES, Finding, Rule

__all__ = [
    "CAUSES",
    "GROUPS",
    "RULES",
    "SEVERITIES",
    "Facts",
    "Finding",
    "Rule",
    "Verdict",
    "diagnose",
    "explain",
    "judge",
    "rule_named",
    "rules_table",
]
