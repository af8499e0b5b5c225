"""A study whose process is killed between any two of its writing steps."""


class Killed(BaseException):
    """The process is gone."""


class Mortal:
    """An Optuna study whose process is killed before its n-th writing step."""

    STEPS = ("set_user_attr", "tell", "enqueue_trial")

    def __init__(self, study, steps):
        self._study, self._left = study, steps

    def __getattr__(self, name):
        if name in self.STEPS:
            if self._left == 0:
                raise Killed
            self._left -= 1
        return getattr(self._study, name)
