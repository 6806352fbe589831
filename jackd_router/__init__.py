"""Keeps the JACK graph in the state that a TOML file asks for."""

__version__ = "0.1.0"
