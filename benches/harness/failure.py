"""What goes wrong in a run, each in one sentence for the user."""


class Failure(Exception):
    """A contender cannot be measured here. It is named in the report, and the run goes on."""


class Wrong(Failure):
    """A contender was measured and did wrong: messages lost, replies altered. The run fails."""
