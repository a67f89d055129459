"""Lights of many frames are told together: how many, how far off, which worst."""

import numpy as np
import pytest

from flatfield.report.many_lights import count_values, describe_frames, is_long, join_agreement, summarize_frames


def tables(ratios, supported=()):
    """Tables of frames whose green has these ratios of centre over corner after the division, red half as far off."""
    vignetting, diagnosis = [], []
    for index, ratio in enumerate(ratios):
        frame = f"F{index:03}"
        for channel, part in (("RED", 0.5), ("GREEN", 1.0)):
            after = 1 / (1 + part * (1 / ratio - 1))
            for stage, value in (("before", 2.0), ("flat", 2.0), ("after", after)):
                vignetting.append({"frame": frame, "channel": channel, "stage": stage, "ratio": str(value)})
        for cause in ("pedestal", "sky gradient"):
            verdict = "supported" if (index, cause) in supported else "excluded"
            diagnosis.append({"frame": frame, "cause": cause, "verdict": verdict})
    return vignetting, diagnosis


def test_frames_are_ordered_by_how_far_off_they_are():
    rows = summarize_frames(*tables([1.0, 0.9, 1.02, 1.001, 1.25], {(1, "pedestal"), (4, "pedestal")}))
    assert [row["frame"] for row in rows] == ["F004", "F001", "F002", "F003", "F000"]
    assert [row["after"] for row in rows] == pytest.approx([-20, 100 / 9, -100 * 0.02 / 1.02, -0.0999, 0], abs=1e-3)
    assert {row["before"] for row in rows} == {-50.0}
    assert [row["supported"] for row in rows] == ["pedestal", "pedestal", "", "", ""]


def test_sentences_count_frames():
    rows = summarize_frames(*tables([1.0] * 7 + [0.8], {(7, "pedestal"), (3, "sky gradient")}))
    first, second = describe_frames(rows, 2)
    assert first.startswith("8 frames: the corner against the centre is -50 % before and +0 % after")
    assert "(median; +0 to +25 %), within 2 % in 7 of them; furthest off is F007 (+25 %)" in first
    assert "supported: " in second and "pedestal (1)" in second and "sky gradient (1)" in second
    assert second.endswith("none of the tested causes applies in 6.")


def test_a_light_without_ratios_is_told_by_its_causes():
    _, diagnosis = tables([1.0] * 5)
    rows = summarize_frames([], diagnosis)
    assert describe_frames(rows, 2) == ["Causes of what is left, by frames: none of the tested causes applies in 5."]
    assert count_values(rows, "after") is None


def test_few_frames_are_told_one_by_one():
    assert not is_long(tables([1.0] * 4)[1]) and is_long(tables([1.0] * 5)[1])


def test_histogram_counts_each_frame_once():
    values = np.random.default_rng(1).normal(size=500)
    found = count_values([{"after": value} for value in (*values, None)], "after")
    expected, _ = np.histogram(values, bins=len(found["counts"]))
    assert sum(found["counts"]) == 500 and np.abs(np.array(found["counts"]) - expected).max() <= 1  # rounding at edges
    assert (found["low"], found["high"]) == (values.min(), values.max())


def test_rows_that_say_the_same_are_joined():
    rows = [{"frame": f"F{index}", "quantity": "iso", "light": "800" if index else "400"} for index in range(5)]
    assert join_agreement(rows) == [
        {"frames": 1, "quantity": "iso", "light": "400"},
        {"frames": 4, "quantity": "iso", "light": "800"},
    ]
