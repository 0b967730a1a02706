"""The subcommands of `energylens`; each imports the modules that it uses when it runs."""
