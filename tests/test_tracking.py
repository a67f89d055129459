"""Digests of code are parsed once: the record of earlier runs gives the same ones, and is never needed."""

import json

import pytest

from flatfield.plan import tracking


@pytest.fixture
def digest(tmp_path, monkeypatch):
    """Digests as a new process in a folder with a record makes them."""
    monkeypatch.setattr(tracking, "RECORD", tmp_path / "records/code.json")

    def digest(script="combine_flat.py"):
        for function in (tracking.digest_code, tracking._read_code, tracking._recorded):
            function.cache_clear()
        found = tracking.digest_code(script)
        tracking.keep_record()
        return found

    yield digest
    for function in (tracking.digest_code, tracking._read_code, tracking._recorded):
        function.cache_clear()


def test_record_gives_the_same_digest_and_spares_parsing(digest, monkeypatch):
    first = digest()
    monkeypatch.setattr(tracking.ast, "parse", lambda *_: pytest.fail("parsed again"))
    assert digest() == first


@pytest.mark.parametrize("damage", ["", "{", "[1, 2]", "null", '"text"'])
def test_damaged_record_is_made_again(digest, damage):
    first = digest()
    tracking.RECORD.write_text(damage)
    assert digest() == first
    assert len(json.loads(tracking.RECORD.read_text())) > 5


def test_code_that_changed_is_parsed_and_what_it_was_is_still_known(digest, tmp_path, monkeypatch):
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    monkeypatch.setattr(tracking, "SCRIPTS", scripts)
    found = []
    for text in ("x = 1\n", "x = 2\n", "x = 1  # as before\n"):
        (scripts / "own.py").write_text(text)
        found.append(digest("own.py"))
    assert found[0] == found[2] != found[1]


def test_nothing_is_lost_where_nothing_can_be_written(digest, tmp_path):
    (tmp_path / "records").write_text("a file in the way")
    assert digest() == digest()
