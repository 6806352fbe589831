"""What the service manager and the journal are told."""
