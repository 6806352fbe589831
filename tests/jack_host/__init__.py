"""The native kernel and what else lives in the JACK host, without a server."""
