"""What the subcommands of `energylens` do; each imports what it needs when it runs."""
