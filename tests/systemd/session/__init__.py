"""Tests of the installed unit beside a real user manager; tests/user-systemd starts it."""
