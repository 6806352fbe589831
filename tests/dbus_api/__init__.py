"""The D-Bus face, on real message buses."""
