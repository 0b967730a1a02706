"""Where models come from: one file for each source, found by its name. A user's own checkpoints are the lab's."""
