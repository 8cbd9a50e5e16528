"""One line that says how far a long job is and how long it may still take.

On a terminal the line is written over itself; elsewhere a line is printed at every tenth.
"""

import shutil
import sys
import time


def spell(seconds):
    """75 -> '1 min 15 s'."""
    seconds = round(seconds)
    return f"{seconds // 60} min {seconds % 60:02} s" if seconds >= 60 else f"{seconds} s"


class Progress:
    def __init__(self, what, total):
        self.what = what
        self.total = total  # in any unit of work
        self.start = time.monotonic()
        self.terminal = sys.stdout.isatty()
        self.tenth = 0

    def seconds(self):
        return time.monotonic() - self.start

    def at(self, done, note=""):
        """`done` of the total is behind us."""
        share = min(done / self.total, 1) if self.total else 1
        left = ""
        if share > 0.02 and share < 1:
            left = f", about {spell(self.seconds() * (1 - share) / share)} left"
        text = f"{self.what}: {share:4.0%}{left}"
        if self.terminal:
            width = shutil.get_terminal_size().columns - 1
            print("\r\033[K" + f"{text}  {note}"[:width], end="", flush=True)
        elif int(share * 10) > self.tenth:
            self.tenth = int(share * 10)
            print(text, flush=True)

    def clear(self):
        if self.terminal:
            print("\r\033[K", end="", flush=True)

    def end(self, result):
        self.clear()
        print(f"{self.what}: {result}, {spell(self.seconds())}", flush=True)
