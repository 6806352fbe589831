"""Decisions: from rules and ports to the pairs that are wanted, the steps that lead there, and why."""
