"""A view that keeps what a search tells its user."""


class Notes:
    def __init__(self):
        self.lines = []

    def note(self, message):
        self.lines.append(message)

    def warn(self, message):
        self.note(message)

    def detail(self, message):
        pass

    def show(self, snapshot):
        pass
