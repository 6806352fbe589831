"""Tests of the pure heart, and of the files that it is fed with."""
