"""A training that is killed before it is done."""


class Killed(Exception):
    """Stands for a kill."""


def dies_at(last, batches):
    """The batches up to a step, at which the training is killed."""

    def until(step):
        if step == last:
            raise Killed
        return batches(step)

    return until
