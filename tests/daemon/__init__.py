"""The real daemon as a process, from outside: on real JACK servers, with real clients and a real message bus."""
