"""What runs: the mirror of the graph, the reconciler, the keeper of the server, buses, configuration and state."""
