"""What pytest reported is what the table says; a test that did not pass is never among the others."""

import pytest

from experiments.fault_results import read_report, table_of
from mechdyn.errors import InputError

REPORT = """<testsuites><testsuite>
<testcase classname="tests.faults.test_killed" name="test_kills_change_nothing[two]"><properties>
<property name="measured" value="15 kills"/></properties></testcase>
<testcase classname="tests.faults.test_killed" name="test_workers_end"/>
<testcase classname="tests.faults.test_killed" name="test_a_disk"><skipped message="no tmpfs"/></testcase>
<testcase classname="tests.faults.test_bad_input" name="test_one"><failure message="no">wrong</failure></testcase>
</testsuite></testsuites>"""


def test_each_test_is_in_one_row(tmp_path):
    (tmp_path / "report.xml").write_text(REPORT)
    assert table_of([*read_report(tmp_path / "report.xml")]).rows == (
        ("one", "failure", ""),
        ("kills change nothing[two]", "passed", "15 kills"),
        ("the others of test_killed.py", "passed", "1 tests, 1 skipped"),
    )


def test_what_is_no_report_is_one_line(tmp_path):
    (tmp_path / "report.xml").write_text("{}")
    with pytest.raises(InputError, match="is no report of pytest"):
        list(read_report(tmp_path / "report.xml"))
