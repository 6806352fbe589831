"""The JACK host as its owner sees it, and the presence of a server, on real servers."""
