"""Error rates of the harness, on invented seeds whose truth is known."""
