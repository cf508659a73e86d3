#!/usr/bin/env python3
"""vitrine doctor: a table, JSON, and a status that scripts can use."""
import json
import subprocess
import unittest

import harness


class Doctor(harness.TestCase):
    def doctor(self, *arguments, **keywords):
        return subprocess.run([harness.options.program, "doctor", *arguments], capture_output=True, text=True,
                              timeout=harness.TIMEOUT, **keywords)

    def test_table_json_and_status_agree(self):
        table = self.doctor()
        report = json.loads(self.doctor("--json").stdout)
        promised = {**report["guarantees"], "native-engine": report["machine"]["native-engine"]}
        missing = [name for name, row in promised.items() if not row["available"]]
        self.assertEqual(table.returncode, 1 if missing else 0)
        for section in report.values():
            for name, row in section.items():
                mark = {True: "yes", False: "NO", None: "-"}[row["available"]]
                self.assertRegex(table.stdout, rf"(?m)^  {mark} +{name} ")
                self.assertTrue(row["available"] or row["detail"], name)
        for name in missing:
            self.assertIn(name, table.stdout.splitlines()[-1])

    def test_requires_by_name(self):
        report = json.loads(self.doctor("--json").stdout)
        rows = {name: row for section in report.values() for name, row in section.items() if row["available"] is not None}
        there = [name for name, row in rows.items() if row["available"]]
        self.assertEqual(self.doctor("--require", ",".join(there)).returncode, 0)
        for name, row in rows.items():
            if not row["available"]:
                result = self.doctor(f"--require={there[0]},{name}")
                self.assertEqual(result.returncode, 1)
                self.assertIn(name, result.stderr)

    def test_sees_less_where_there_is_less(self):
        """With less address space than windows take, guest code cannot run natively; and doctor says so."""
        result = subprocess.run(["sh", "-c", 'ulimit -v 4000000; exec "$0" doctor', harness.options.program],
                                capture_output=True, text=True, timeout=harness.TIMEOUT)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertRegex(result.stdout, "(?m)^  NO +native-engine")
        self.assertIn("native-engine", result.stdout.splitlines()[-1])

    def test_wrong_command_lines(self):
        for arguments, word in ((["--jason"], "no option '--jason'"), (["--require"], "missing behind"),
                                (["--require", "luck"], "'luck'"), (["--require", "open-files"], "'open-files'")):
            result = self.doctor(*arguments)
            self.assertEqual(result.returncode, 2)
            self.assertIn(word, result.stderr)
        self.assertIn("Usage", self.doctor("--help").stdout)


if __name__ == "__main__":
    harness.main()
