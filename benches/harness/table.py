"""The report on the terminal."""

import unicodedata


def cells(words):
    """How wide a text is on a terminal."""
    return sum(not unicodedata.combining(letter) for letter in words)


def padded(words, width, left):
    space = " " * (width - cells(words))
    return words + space if left else space + words


def lines_of(rows, left=(0,)):
    """Columns as wide as what they hold; those named go to the left, numbers to the right."""
    widths = [max(map(cells, column)) for column in zip(*rows)]
    for row in rows:
        parts = (padded(*each, i in left) for i, each in enumerate(zip(row, widths)))
        yield "  ".join(parts).rstrip()


def print_sheet(sheet, file):
    print(f"\n{sheet.title}", file=file)
    if sheet.rows:
        for line in lines_of([sheet.headings, *(texts for _, texts in sheet.rows)]):
            print(line, file=file)
    for note in sheet.notes:
        print(f"  {note}", file=file)
    file.flush()


def print_machine(machine, file):
    rows = [[name, str(value)] for name, value in machine.items() if value != ""]
    for line in lines_of(rows, left=(0, 1)):
        print(line, file=file)


def print_verdicts(verdicts, file):
    if not verdicts:
        return
    print("\ntargets", file=file)
    rows = [
        [each.mark, each.target.words, each.limit_text, each.got_text, each.note]
        for each in verdicts
    ]
    for line in lines_of(rows, left=(0, 1, 4)):
        print(line, file=file)
    counts = {mark: sum(each.mark == mark for each in verdicts) for mark in ("met", "missed", "?")}
    print(
        f"{counts['met']} met, {counts['missed']} missed, {counts['?']} not measured", file=file
    )
