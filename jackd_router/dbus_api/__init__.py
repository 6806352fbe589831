"""The D-Bus face of the router: it asks, converts and publishes, and decides nothing."""
