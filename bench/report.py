"""bench/report.py — what a run found: Markdown tables and the history as it goes, JSON at its end."""
import csv
import datetime
import json
import os
import re
from pathlib import Path

HISTORY = Path(os.environ.get("F5_BENCH_HISTORY") or Path(__file__).resolve().parent / "history")


def slug(gpu):
    return re.sub(r"[^a-z0-9]+", "-", gpu.lower().replace("nvidia", "")).strip("-")


def number(value, digits=4):
    """So many digits that matter, no exponent where it can be helped."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    if value == 0 or not 1e-3 <= abs(value) < 1e6:
        return f"{value:.1e}" if value else "0"
    whole = len(str(int(abs(value))))
    return f"{value:.{max(0, digits - whole) if abs(value) >= 1 else 3}f}"


class Table:
    """A Markdown table that grows: its head appears with the first rows, each row when it is added. Widths follow from
    the first rows; `widths` names columns in which wider cells come later."""

    def __init__(self, title, columns=None, note=None, widths=None):
        self.title, self.columns, self.note, self.rows, self.widths = title, columns, note, [], dict(widths or {})

    def add(self, *rows):
        """rows: dicts, or lists in the order of the columns."""
        if self.columns is None:
            self.columns = list(rows[0])
        rows = [dict(zip(self.columns, row)) if not isinstance(row, dict) else row for row in rows]
        text = [[number(row.get(c)) for c in self.columns] for row in rows]
        if not self.rows:
            self._head(rows, text)
        for cells in text:
            print(self._line(cells), flush=True)
        self.rows.extend(rows)

    def _head(self, rows, text):
        self.widths = [max([len(c), self.widths.get(c, 0)] + [len(cells[i]) for cells in text])
                       for i, c in enumerate(self.columns)]
        self.numeric = [any(not isinstance(row.get(c), str) and row.get(c) is not None for row in rows)
                        for c in self.columns]
        print(f"\n{self.title}\n" + (f"\n{self.note}\n" if self.note else ""))
        print(self._line(self.columns))
        print("|" + "|".join("-" * (w + 1) + (":" if n else "-") for w, n in zip(self.widths, self.numeric)) + "|")

    def _line(self, cells):
        return "| " + " | ".join(c.rjust(w) if n else c.ljust(w)
                                 for c, w, n in zip(cells, self.widths, self.numeric)) + " |"


class Report:
    """head: what is the same for the whole run (date, commit, GPU, precision, seed)."""

    def __init__(self, gpu, **head):
        self.head = dict(date=datetime.date.today().isoformat(), gpu=gpu, **head)
        self.tables, self.figures, self.history, self.had = {}, {}, None, set()

    def growing(self, title, columns=None, note=None, widths=None):
        """A Table whose rows are also the JSON's. Columns may be left to the first row, where that is a dict."""
        table = Table(title, columns, note, widths)
        self.tables[title] = table.rows
        return table

    def table(self, title, columns, rows, note=None):
        self.growing(title, columns, note).add(*rows)

    def figure(self, case, value, unit):
        """One line of the history; the last figure of a case stands."""
        self.figures[case] = value, unit
        if self.history:
            self._append([self.head["date"], self.head["commit"], self.head["gpu"], case, f"{value:.5g}", unit])

    def write_json(self, path):
        figures = [dict(case=c, figure=v, unit=u) for c, (v, u) in self.figures.items()]
        Path(path).write_text(json.dumps({**self.head, "tables": self.tables, "figures": figures}, indent=1) + "\n")

    def keep_history(self, folder=HISTORY):
        """From now on every figure is a line of the history too, written when it is told: date, commit, GPU, case, figure,
        unit. Its file, and in `had` the cases that it has of this commit and GPU."""
        self.history = Path(folder) / f"{slug(self.head['gpu'])}.csv"
        self.history.parent.mkdir(exist_ok=True)
        if not self.history.exists():
            self._append(["date", "commit", "gpu", "case", "figure", "unit"])
        with open(self.history, newline="", encoding="utf-8") as f:
            self.had = {row["case"] for row in csv.DictReader(f)
                        if (row["commit"], row["gpu"]) == (self.head["commit"], self.head["gpu"])}
        return self.history

    def _append(self, cells):
        with open(self.history, "a", newline="", encoding="utf-8") as f:
            csv.writer(f, lineterminator="\n").writerow(cells)
