"""What more than one step needs."""
