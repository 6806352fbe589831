"""The JACK host: the only process that loads libjack. One host serves one run of one JACK server.

It imports nothing of the package but its own messages (`protocol`) and memory layout (`memory`), which the daemon's
side (`jack_io`) shares.
"""
