"""Real servers, real clients and real processes for the tests."""
