"""Prints `N passed, N failed` (and `, N skipped`) from meson's testlog.json.

Exits non-zero when a test failed, and when none ran: silence is no success.
"""

import collections
import json
import pathlib
import sys

GROUPS = {"OK": "passed", "EXPECTEDFAIL": "passed", "SKIP": "skipped"}

log = pathlib.Path(sys.argv[1])
lines = log.read_text().splitlines() if log.exists() else []
count = collections.Counter(GROUPS.get(json.loads(line)["result"], "failed") for line in lines)

skipped = f", {count['skipped']} skipped" if count["skipped"] else ""
print(f"{count['passed']} passed, {count['failed']} failed{skipped}")
sys.exit(0 if count["passed"] and not count["failed"] else 1)
