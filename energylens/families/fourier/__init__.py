"""What Fourier claims ask of networks that add modulo p."""
