"""junit.xml, as its readers take it."""

from __future__ import annotations

import functools
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import pytest
import xmlschema
from hypothesis import given, settings
from hypothesis import strategies as st
from junitparser import JUnitXml

from iotsim.events import Outcome
from iotsim.results.junit import Case, Suite, encode_junit, suite_of
from iotsim.results.result import GatewayResult, RunResult

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "\x1b[2J]]></testcase>&\"'<\x00\ud800\ufffe\x85é\n"

# What readers ask for. Jenkins' xUnit plugin has each of these rules, but for `file` and `line` of a testcase
# and `skipped` of all suites, which it refuses; its `junit` step, GitLab and readers on GitHub take them.
SCHEMA = """
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
 <xs:simpleType name="time"><xs:restriction base="xs:string">
  <xs:pattern value="[0-9]+(\\.[0-9]{{1,3}})?"/>
 </xs:restriction></xs:simpleType>
 <xs:complexType name="outcome" mixed="true">
  <xs:attribute name="message" type="xs:string"/>
  <xs:attribute name="type" type="xs:string"/>
 </xs:complexType>
 <xs:element name="testsuites"><xs:complexType>
  <xs:sequence><xs:element ref="testsuite" minOccurs="0" maxOccurs="unbounded"/></xs:sequence>
  <xs:attribute name="name" type="xs:string"/>
  <xs:attribute name="time" type="time"/>
  <xs:attribute name="tests" type="xs:nonNegativeInteger"/>
  <xs:attribute name="failures" type="xs:nonNegativeInteger"/>
  <xs:attribute name="errors" type="xs:nonNegativeInteger"/>
  {of_suites}
 </xs:complexType></xs:element>
 <xs:element name="testsuite"><xs:complexType>
  <xs:sequence>
   <xs:element name="properties" minOccurs="0"><xs:complexType><xs:sequence>
    <xs:element name="property" minOccurs="0" maxOccurs="unbounded"><xs:complexType>
     <xs:attribute name="name" type="xs:string" use="required"/>
     <xs:attribute name="value" type="xs:string" use="required"/>
    </xs:complexType></xs:element>
   </xs:sequence></xs:complexType></xs:element>
   <xs:element ref="testcase" minOccurs="0" maxOccurs="unbounded"/>
   <xs:element name="system-out" type="xs:string" minOccurs="0"/>
   <xs:element name="system-err" type="xs:string" minOccurs="0"/>
  </xs:sequence>
  <xs:attribute name="name" type="xs:string" use="required"/>
  <xs:attribute name="tests" type="xs:nonNegativeInteger" use="required"/>
  <xs:attribute name="failures" type="xs:nonNegativeInteger" use="required"/>
  <xs:attribute name="errors" type="xs:nonNegativeInteger" use="required"/>
  <xs:attribute name="skipped" type="xs:nonNegativeInteger"/>
  <xs:attribute name="time" type="time"/>
  <xs:attribute name="timestamp" type="xs:string"/>
  <xs:attribute name="hostname" type="xs:string"/>
  <xs:attribute name="file" type="xs:string"/>
 </xs:complexType></xs:element>
 <xs:element name="testcase"><xs:complexType>
  <xs:sequence>
   <xs:choice minOccurs="0">
    <xs:element name="failure" type="outcome"/>
    <xs:element name="error" type="outcome"/>
    <xs:element name="skipped" type="outcome"/>
   </xs:choice>
   <xs:element name="system-out" type="xs:string" minOccurs="0"/>
   <xs:element name="system-err" type="xs:string" minOccurs="0"/>
  </xs:sequence>
  <xs:attribute name="name" type="xs:string" use="required"/>
  <xs:attribute name="classname" type="xs:string" use="required"/>
  <xs:attribute name="time" type="time" use="required"/>
  {of_case}
 </xs:complexType></xs:element>
</xs:schema>
"""
OF_SUITES = '<xs:attribute name="skipped" type="xs:nonNegativeInteger"/>'
OF_CASE = (
    '<xs:attribute name="file" type="xs:string"/>'
    '<xs:attribute name="line" type="xs:positiveInteger"/>'
)


@functools.cache
def schema(*, strict: bool) -> xmlschema.XMLSchema:
    more = ("", "") if strict else (OF_SUITES, OF_CASE)
    return xmlschema.XMLSchema(SCHEMA.format(of_suites=more[0], of_case=more[1]))


def read(result: RunResult) -> ET.Element:
    return ET.fromstring(encode_junit([suite_of(result)]))


def result_of(**fields: Any) -> RunResult:
    return RunResult(scenario="polls", path="polls.toml", seed=7, **fields)


def expected(*, passed: bool, **fields: Any) -> Outcome:
    fields = {
        "kind": "within",
        "severity": "error",
        "expected": "reads",
        "actual": "none",
        **fields,
    }
    return Outcome(name="reads come", passed=passed, **fields)


def read_back(path: Path, result: RunResult) -> dict[str, tuple[str, str]]:
    """Testcase name -> (outcome, message), as an independent reader sees them."""
    path.write_bytes(encode_junit([suite_of(result)]))
    document = JUnitXml.fromfile(str(path))
    (suite,) = document
    found = {}
    for case in suite:
        outcomes = [(type(r).__name__.lower(), r.message or "") for r in case.result]
        found[case.name] = outcomes[0] if outcomes else ("passed", "")
    assert suite.tests == len(found)
    states = [state for state, _ in found.values()]
    assert (suite.failures, suite.errors, suite.skipped) == (
        states.count("failure"),
        states.count("error"),
        states.count("skipped"),
    )
    return found


def test_a_passed_run(tmp_path: Path) -> None:
    result = result_of(verdict="passed", expectations=[expected(passed=True)])
    assert read_back(tmp_path / "x", result) == {
        "run": ("passed", ""),
        "reads come": ("passed", ""),
    }


def test_a_failed_expectation(tmp_path: Path) -> None:
    failed = expected(
        passed=False, nearest="meter[1]: near", devices=["meter[1]"], details=["near"]
    )
    result = result_of(verdict="failed", reason="reads come: none", expectations=[failed])
    found = read_back(tmp_path / "x", result)
    assert found == {"run": ("passed", ""), "reads come": ("failure", "none")}
    assert "nearest: meter[1]: near" in (tmp_path / "x").read_text()


def test_a_crash_of_the_gateway(tmp_path: Path) -> None:
    gateway = GatewayResult(command=["gw"], signal="SIGSEGV", crashed=True, last_lines=["bye"])
    result = result_of(
        verdict="failed",
        reason="the gateway was ended by SIGSEGV",
        gateway=gateway,
        expectations=[expected(passed=False)],
    )
    found = read_back(tmp_path / "x", result)
    assert found["run"] == ("failure", "the gateway was ended by SIGSEGV")
    assert found["reads come"][0] == "failure"


def test_the_other_verdicts(tmp_path: Path) -> None:
    for verdict, state in (
        ("error", "error"),
        ("empty", "error"),
        ("interrupted", "error"),
        ("skipped", "skipped"),
    ):
        found = read_back(tmp_path / "x", result_of(verdict=verdict, reason="because"))
        assert found == {"run": (state, "because")}


def test_what_is_inconclusive_is_no_failure_of_the_gateway(tmp_path: Path) -> None:
    doubted = expected(passed=False, inconclusive="0.3 s late")
    result = result_of(verdict="inconclusive", reason="lag", expectations=[doubted])
    found = read_back(tmp_path / "x", result)
    assert found == {"run": ("error", "lag"), "reads come": ("error", "0.3 s late")}


def test_a_warning_passes(tmp_path: Path) -> None:
    warning = expected(passed=False, severity="warning")
    found = read_back(tmp_path / "x", result_of(verdict="passed", expectations=[warning]))
    assert found["reads come"] == ("passed", "")


def test_a_run_that_was_killed(tmp_path: Path) -> None:
    found = read_back(tmp_path / "x", result_of())
    assert found["run"][0] == "error"
    assert "still running, or was killed" in found["run"][1]


def test_hostile_text(tmp_path: Path) -> None:
    failed = expected(passed=False, actual=HOSTILE, nearest=HOSTILE, place=HOSTILE, error=HOSTILE)
    gateway = GatewayResult(command=["gw"], crashed=True, last_lines=[HOSTILE])
    result = RunResult(
        scenario=HOSTILE,
        path=HOSTILE,
        seed=1,
        verdict="failed",
        reason=HOSTILE,
        repeat=HOSTILE,
        notes=[HOSTILE],
        errors=[HOSTILE],
        gateway=gateway,
        expectations=[failed],
    )
    found = read_back(tmp_path / "x", result)
    shown = "\\x1b[2J]]></testcase>&\"'<\\x00\\ud800\\ufffe\\x85é\\n"
    assert found["reads come"] == ("error", shown)


def test_a_case_says_where_it_stands_and_when_it_was_decided() -> None:
    held = expected(passed=True, place="a/b.toml:12", t=1.5)
    late = expected(passed=True, place="b.toml", t=None)
    root = read(result_of(verdict="passed", duration_s=4.25, expectations=[held, late]))
    run, first, second = root.iter("testcase")
    assert (run.get("file"), run.get("line"), run.get("time")) == ("polls.toml", None, "4.250")
    assert (first.get("file"), first.get("line"), first.get("time")) == ("a/b.toml", "12", "1.500")
    assert (second.get("file"), second.get("time")) == ("b.toml", "4.250")
    assert {"name", "classname"} <= first.attrib.keys()


def test_no_two_cases_have_the_same_name() -> None:
    """GitLab takes the first alone."""
    twice = [expected(passed=True), expected(passed=False)]
    suite = suite_of(result_of(verdict="failed", expectations=twice))
    root = ET.fromstring(encode_junit([suite, suite]))
    names = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert len(set(names)) == len(names) == 6
    assert names[1:3] == [("polls", "reads come"), ("polls", "reads come (2)")]


@pytest.mark.parametrize("strict", [False, True])
def test_documents_are_right_by_what_readers_ask_for(strict: bool) -> None:
    outcomes = [
        expected(passed=True, t=0.25),
        expected(passed=False, place="x.toml:3", devices=["m[0]"], details=[HOSTILE]),
        expected(passed=False, severity="warning", place="x.toml:4"),
        expected(passed=False, inconclusive="late"),
        expected(passed=False, error="no field"),
    ]
    gateway = GatewayResult(command=["gw"], last_lines=[HOSTILE])
    judge = schema(strict=strict)
    for verdict in ("running", "passed", "failed", "error", "skipped", "inconclusive", "empty"):
        result = result_of(
            verdict=verdict,
            reason=HOSTILE,
            notes=[HOSTILE],
            started="2026-03-14T15:09:26.535+00:00",
            duration_s=12345.6789,
            gateway=gateway,
            expectations=outcomes,
            parameters={"rate": "=1"},
            files=["report.html"],
        )
        suites = [suite_of(result), suite_of(result, folder="out")]
        judge.validate(encode_junit(suites, strict=strict).decode())
        judge.validate(encode_junit(suites[:1], strict=strict).decode())
    judge.validate(encode_junit([], strict=strict).decode())


def test_the_strictest_reader_refuses_what_others_want() -> None:
    document = encode_junit([suite_of(result_of(expectations=[expected(passed=True)]))]).decode()
    with pytest.raises(xmlschema.XMLSchemaValidationError):
        schema(strict=True).validate(document)


def test_files_are_attached_to_what_has_not_passed() -> None:
    files = ["junit.xml", "capture.pcapng", "report.html"]
    for verdict, attached in (("failed", True), ("passed", False), ("running", False)):
        result = result_of(verdict=verdict, files=files)
        root = ET.fromstring(encode_junit([suite_of(result, folder="results/a")]))
        lines = root.findtext("testsuite/testcase/system-out") or ""
        expected_lines = ["[[ATTACHMENT|results/a/report.html]]"] if attached else []
        expected_lines += ["[[ATTACHMENT|results/a/capture.pcapng]]"] if attached else []
        assert lines.split("\n")[: len(expected_lines)] == expected_lines or not attached
        assert ("ATTACHMENT" in lines) == attached


def test_a_gateway_attaches_no_file_of_the_machine_that_reads() -> None:
    said = "[[ATTACHMENT|/etc/passwd]] [[ attachment |x]] [[PROPERTY|a=b]] [[1]]"
    gateway = GatewayResult(command=["gw"], last_lines=[said])
    failed = expected(passed=False, actual=said, nearest=said)
    warned = expected(passed=False, severity="warning", actual=said)
    result = result_of(
        verdict="failed", notes=[said], reason=said, gateway=gateway, expectations=[failed, warned]
    )
    document = encode_junit([suite_of(result)]).decode()
    assert "[[ATTACH" not in document
    assert "[[ attach" not in document
    assert "[[PROPERTY" not in document
    assert "[[1]]" in document


def test_long_texts_have_an_end() -> None:
    long = "x" * 1_000_000
    gateway = GatewayResult(command=["gw"], last_lines=[long])
    failed = expected(passed=False, actual=long, nearest=long)
    result = result_of(verdict="failed", reason=long, gateway=gateway, expectations=[failed])
    assert len(encode_junit([suite_of(result)])) < 500_000


@settings(max_examples=100, deadline=None)
@given(
    st.text(st.characters()),
    st.sampled_from(["passed", "failure", "error", "skipped"]),
    st.floats(),
    st.booleans(),
)
def test_any_text_gives_xml_that_can_be_read(
    text: str, state: Any, time_s: float, warning: bool
) -> None:
    case = Case(
        text,
        state,
        text,
        text,
        text,
        ((text, text),),
        ((text, text),),
        warning,
        time_s,
        text,
        3,
        (text,),
    )
    suite = Suite(text, [case], time_s, text, {text: text}, text, text)
    document = encode_junit([suite, suite])
    root = ET.fromstring(document)
    assert root.get("tests") == "2"
    assert len(root.findall("testsuite/testcase")) == 2
    schema(strict=False).validate(document.decode())
