"""`make demo`: the whole program at work on a private JACK server, in about a minute."""
