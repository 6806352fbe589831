"""The pure heart: values and decisions, on the standard library alone."""
