"""The science of Fourier claims, on networks that add modulo p."""
