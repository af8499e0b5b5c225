"""What a study keeps of a table's columns: sentences, not the table of the terminal."""

from pipeline.datasets import data_lines, data_notes, summarize
from pipeline.records import DatasetSpec


def test_a_study_keeps_types_and_gaps_in_sentences(tmp_path):
    rows = "".join(
        f"{number / 7 if number % 9 else ''},{'red' if number % 2 else 'blue'},{number % 3}\n"
        for number in range(60)
    )
    (tmp_path / "mine.csv").write_text(f"size,hue,label\n{rows}")
    summary = summarize(DatasetSpec(str(tmp_path / "mine.csv")))
    assert data_notes(summary).about == (
        "text in UTF-8, columns separated by ',', decimal mark '.'",
        "label 'label' (3 classes); features (2): size, hue",
        "features by type: number 1, category 1",
        "features with gaps: size (7)",
    )
    assert any(line.startswith("hue") for line in data_lines(summary))
