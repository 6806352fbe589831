"""Selectors: which ports are meant, and how those that may be meant are found among thousands."""
