"""The result of the checks as JUnit XML, which every CI system draws as a table."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(results: Mapping[str, Any] | Any, path: str | Path) -> Path:
    """Write a CheckReport (or its JSON object) to `path`: one test case a check, failures with their diagnoses."""
    report = results if isinstance(results, Mapping) else results.as_json()
    suite = ET.Element("testsuite", _totals(report))
    for check in report["checks"]:
        suite.append(_case(check))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    target = Path(path)
    ET.ElementTree(root).write(target, encoding="utf-8", xml_declaration=True)
    return target


def _totals(report: Mapping[str, Any]) -> dict[str, str]:
    statuses = [check["status"] for check in report["checks"]]
    seconds = sum(float(check["seconds"]) for check in report["checks"])
    return {
        "name": _clean(f"convdebug check {report['target']}"),
        "tests": str(len(statuses)),
        "failures": str(statuses.count("fail")),
        "errors": str(statuses.count("error")),
        "skipped": str(statuses.count("skip")),
        "time": f"{seconds:.3f}",
    }


def _case(check: Mapping[str, Any]) -> ET.Element:
    case = ET.Element("testcase", name=check["id"], classname="convdebug.checks", time=f"{float(check['seconds']):.3f}")
    summary, status = _clean(check["summary"]), check["status"]
    if status in ("fail", "error"):
        element = ET.SubElement(case, "failure" if status == "fail" else "error", message=summary, type=_kind(check))
        element.text = _clean(_details(check))
    elif status == "skip":
        ET.SubElement(case, "skipped", message=summary)
    else:
        ET.SubElement(case, "system-out").text = _clean(_details(check))
    return case


def _kind(check: Mapping[str, Any]) -> str:
    return check["diagnoses"][0]["rule"] if check["diagnoses"] else check["status"]


def _details(check: Mapping[str, Any]) -> str:
    lines = [check["summary"]]
    for diagnosis in check["diagnoses"]:
        lines.append(f"{diagnosis['severity']}: {diagnosis['rule']}: {diagnosis['message']}")
        lines += [f"  try: {remedy['text']}" for remedy in diagnosis["remedies"]]
    return "\n".join(lines)


def _clean(text: str) -> str:
    """XML 1.0 has no place for most control characters."""
    return _FORBIDDEN.sub("\ufffd", str(text))
