"""Every study has a report file of its own."""

from dataclasses import replace

from pipeline.report.render.files import file_stem, write_html


def test_names_that_look_alike_are_files_of_their_own():
    names = [
        "a/b",
        "a:b",
        "a%b",
        "a-b",
        "a b",
        "-a-b",
        "a--b",
        "a" * 80,
        "a" * 81,
        "/",
        ":",
        "study",
    ]
    stems = [file_stem(name) for name in names]
    assert len(set(stems)) == len(names), stems
    assert not any(set(stem) & set("/:% ") for stem in stems)


def test_a_plain_name_stays_as_it_is():
    assert file_stem("digits") == "digits"
    assert file_stem("my_study-2.1") == "my_study-2.1"
    assert file_stem("ziffern-größe") == "ziffern-größe"


def test_each_study_is_written_beside_the_others(tmp_path, make_trial, report_on):
    report = report_on(make_trial(0))
    paths = {
        write_html(replace(report, study=replace(report.study, study=name)), tmp_path)
        for name in ("a/b", "a:b", "a%b")
    }
    assert set(tmp_path.iterdir()) == paths
    assert len(paths) == 3
