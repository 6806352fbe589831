"""The tests of jackd_router; each folder is named after what it tests."""
