"""Networks that claims are about: zoo, tasks, training and loading."""
