"""Lets servers die, freeze and churn hundreds of times beside one daemon, and counts what is not as before."""
