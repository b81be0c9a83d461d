"""A path has no data: Lightning is fed batches without end and without content."""


class Batches:
    """An endless supply of nothing; the solver says when it is finished."""

    def __iter__(self):
        while True:
            yield 0
