"""All rules together: which runs they judge, what a failing rule does, how they explain themselves."""

import dataclasses
import json

import numpy as np
import pytest

from convdebug.errors import UserError
from convdebug.rules import GROUPS, RULES, SEVERITIES, Facts, diagnose, explain, judge, rules_table
from convdebug_sessions import Recorder, Session, SessionError

SECTIONS = ("What it means", "Why it happens", "What to try", "Where it comes from")


def exploded(steps=40):
    loss = np.full(steps, np.nan)
    loss[:3] = [2.3, 900.0, 1e7]
    return {"train/loss": loss}


def test_names_are_unique_and_in_the_promised_form():
    names = [rule.name for rule in RULES]
    assert len(names) == len(set(names))
    assert all(name.replace("-", "").isalpha() and name.islower() for name in names)
    assert all(rule.group in GROUPS and set(rule.severities) <= set(SEVERITIES) for rule in RULES)


def test_rules_are_listed_in_the_order_of_their_groups():
    places = [GROUPS.index(rule.group) for rule in RULES]
    assert places == sorted(places)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_explains_itself_under_the_fixed_headings(rule):
    text = explain(rule.name)
    assert rule.title in text
    assert all(f"\n{section}\n" in text for section in SECTIONS)
    assert min(len(each) for each in (rule.meaning, rule.causes, rule.remedies)) > 20
    assert json.loads(json.dumps(rule.as_json()))["severity"] == list(rule.severities)


def test_the_table_of_rules_has_the_promised_keys():
    keys = {"name", "title", "group", "severity", "meaning", "causes", "remedies", "source"}
    assert [set(row) for row in rules_table()] == [keys] * len(RULES)


def test_an_unknown_rule_is_answered_with_the_nearest():
    with pytest.raises(UserError, match=r"no rule 'ded-relu' \(nearest: dead-relu\)"):
        explain("ded-relu")


def test_a_rule_that_fails_is_named_and_silences_nobody(written):
    def stumble(facts):
        raise ZeroDivisionError("no layers")

    broken = dataclasses.replace(RULES[0], judge=stumble)
    with Session.open(written(exploded())) as session:
        verdict = judge(Facts(session), [broken, *RULES[1:]])
    assert verdict.failures == {broken.name: f"rule {broken.name} failed: ZeroDivisionError: no layers"}
    assert "loss-diverged" in [diagnosis.rule for diagnosis in verdict.diagnoses]


@pytest.mark.parametrize("groups", [(), ({"train/loss": []},), ({"train/loss": [2.3]},), ({"mine": [1.0, np.nan]},)])
def test_a_run_with_next_to_nothing_in_it_is_judged_without_a_word(written, groups, capsys):
    with Session.open(written(*groups, info={"loss": None, "optimizer": None}, config=None)) as session:
        assert diagnose(session) == []
    assert capsys.readouterr().err == ""


def test_trainings_are_judged_and_trials_branches_and_checks_are_not(tmp_path, synthetic):
    path = tmp_path / "many.convdebug"
    with Recorder.create(path) as recorder:
        runs = {
            kind: synthetic.write_run(recorder, exploded(), kind=kind) for kind in ("trial", "branch", "check", "train")
        }
        runs["watch"] = synthetic.write_run(recorder, exploded(), kind="watch")
    with Session.open(path) as session:
        assert {diagnosis.run for diagnosis in diagnose(session)} == {runs["train"], runs["watch"]}
        assert {diagnosis.run for diagnosis in diagnose(session, runs["trial"])} == {runs["trial"]}
        with pytest.raises(SessionError):
            diagnose(session, 99)


def test_a_session_of_checks_tells_what_its_checks_found(tmp_path, written, synthetic):
    with Session.open(written(exploded())) as session:
        found = diagnose(session)[0]
    check = {"id": "overfit-20", "status": "fail", "diagnoses": [found.as_json()]}
    path = tmp_path / "checks.convdebug"
    with Recorder.create(path) as recorder:
        synthetic.write_run(recorder, kind="check", events=[("check", None, check)])
    with Session.open(path) as session:
        assert [diagnosis.rule for diagnosis in diagnose(session)] == [found.rule]


def test_diagnoses_survive_being_written_and_read(written):
    with Session.open(written(exploded())) as session:
        found = diagnose(session)
        session.write_diagnoses(1, found)
        assert [each.as_json() for each in session.diagnoses(1)] == [each.as_json() for each in found]
