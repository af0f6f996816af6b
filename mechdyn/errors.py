"""The errors a caller can act on. Each message says what was wanted, what came and what to do."""


class MechdynError(Exception):
    """Base of every error that mechdyn raises on purpose; the command line prints it in one line."""


class InputError(MechdynError, ValueError):
    """An argument, a file or a sample that cannot be used as given."""


class UnsupportedModelError(MechdynError):
    """A model or tokenizer that lacks something the engine needs."""


class StoreError(MechdynError):
    """A run folder or trace store that is missing, foreign or damaged."""


class NumericalError(MechdynError):
    """A forward pass that gave NaN or infinite logits."""


class OutOfMemoryError(MechdynError):
    """A batch that the device's memory does not hold, even one sample at a time where a smaller batch was possible."""


class RunError(MechdynError):
    """Units of a run that failed, or a worker that was lost for good; the run's log has the traceback."""
