"""Says on stderr how far a run is: one line that is rewritten on a terminal, else one per work."""

import shutil
import time

BAR_CELLS = 20


def clock(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02}"


class Progress:
    """Counts the time of the plan; what is left is scaled by how long the runs really take."""

    def __init__(self, plan, file):
        self.file, self.terminal = file, file.isatty()
        self.cost = {step.work.name: step.run_seconds for step in plan}
        self.total = sum(step.runs * step.run_seconds for step in plan)
        self.done = 0.0
        self.began = time.monotonic()

    def left_seconds(self):
        """The plan's own estimate counts for half a minute, so that the start does not mislead."""
        spent = time.monotonic() - self.began
        pace = (spent + 30) / (self.done + 30)
        return max(0.0, (self.total - self.done) * pace)

    def begin(self, work, contender, number):
        if not self.terminal:
            return
        share = self.done / self.total if self.total else 1
        bar = "█" * round(share * BAR_CELLS)
        line = (
            f"{bar:░<{BAR_CELLS}} {share:4.0%}  {clock(self.left_seconds())} left  "
            f"{work.name}, round {number + 1}: {contender.name}"
        )
        width = shutil.get_terminal_size().columns
        print(f"\r\033[K{line[: width - 1]}", end="", file=self.file, flush=True)

    def end(self, work):
        self.done += self.cost[work.name]

    def finish(self, work):
        if not self.terminal:
            spent, left = time.monotonic() - self.began, self.left_seconds()
            line = f"{work.name} measured after {clock(spent)}, about {clock(left)} left"
            print(line, file=self.file, flush=True)

    def say(self, line):
        """Something to be kept, above the bar."""
        self.clear()
        print(line, file=self.file, flush=True)

    def clear(self):
        if self.terminal:
            print("\r\033[K", end="", file=self.file, flush=True)
