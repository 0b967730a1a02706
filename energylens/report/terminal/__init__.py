"""What is printed in a terminal, as text."""
