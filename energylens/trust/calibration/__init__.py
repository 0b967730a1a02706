"""How often the harness itself is wrong, on seeds whose truth is known."""
