"""Text that is printed in a terminal."""
