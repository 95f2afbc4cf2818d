"""Find, read and check the table that a step works on."""
