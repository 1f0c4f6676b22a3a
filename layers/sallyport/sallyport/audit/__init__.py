"""What is kept about every exchange, and what is made of it."""
