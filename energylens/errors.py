"""Errors that a user may meet. Each message names the value that was received and what to do about it."""


class EnergylensError(Exception):
    """Base of every error raised on purpose by energylens."""


class InputError(EnergylensError, ValueError):
    """A value that a function cannot work with: wrong shape, NaN, zero row, unknown name."""


class StoreError(EnergylensError, OSError):
    """The artifact store cannot be read or written."""


class DeclarationError(EnergylensError):
    """A claim whose declaration could not be judged; raised while pytest collects."""
