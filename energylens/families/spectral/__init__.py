"""What attention heads are like and how much they matter, on a network's own task."""
