"""Defines what is said of a user's data before training: a stable code and a sentence each.

A finding refuses nothing; ``--ignore CODE`` keeps it from being told. What makes data unusable
is an error instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.errors import DatasetError, closest


@dataclass(frozen=True)
class Finding:
    """Something that a user should know of their data.

    Attributes:
        code: A key of :data:`CODES`.
        message: What was found, in a sentence; names columns, classes or numbers.
    """

    code: str
    message: str


CODES: dict[str, str] = {
    "constant": "A column has one value in every row and is left out.",
    "id": "A column names the rows (distinct whole numbers in steps, or distinct words) and is left"
    " out; --ignore id keeps numbers as a feature.",
    "text": "A column holds texts and is left out; --text makes features of its words.",
    "dropped": "Columns are left out because --drop names them.",
    "century": "Dates have years of two digits: 69 to 99 are taken for 1969 to 1999.",
    "case": "Classes, groups or words of a category differ in capitals, blanks or zeros only.",
    "groups": "Rows are kept in one part by --group: how many groups are in each part.",
    "possible_groups": "A column looks as if it says which rows belong together.",
    "order": "The split is cut by --order-by: where.",
    "given_split": "The parts are those of --split: which one was cut from train nevertheless.",
    "duplicates": "Examples are equal in every input; equal ones are kept in one part.",
    "repeated": "Examples are equal in every input, and equal ones are in several parts.",
    "repeated_test": "Test examples are equal to training or validation examples in every input.",
    "contradictions": "Examples are equal in every input and have different labels.",
    "leak": "One feature alone predicts the label: it may give the answer away.",
    "imbalance": "A class has ten times as many examples as another, or more.",
    "rare": "A class has so few examples that nothing can be said of it.",
    "absent": "A part has no example of a class.",
    "small_validation": "The validation part is small: accuracies are known roughly only.",
    "wordless": "Texts hold no word.",
    "beside_text": "Columns are left out, because beside --text no other is used.",
    "shape": "Arrays were read as images, but are so long that they may be series.",
    "frames": "Of a picture with several frames the first is read.",
    "16bit": "Pictures of 16 bits are scaled to 8.",
    "palette": "Pictures with a palette are read in its colours.",
    "cmyk": "Pictures in CMYK are converted to RGB, without a colour profile.",
    "rgba": "Pictures with transparency are put on white.",
    "grey": "Colour pictures are turned grey, as --color says.",
    "rgb": "Grey pictures are turned into RGB, as --color says or others are.",
    "rotated": "Pictures are turned upright, as the camera noted in EXIF.",
    "scaled": "Pictures are scaled to --image-size, and stretched where proportions differ.",
}
"""Code of a finding -> what it means; the page on data lists them."""
KEEPING = ("id",)
"""Codes that --ignore does not only silence: what was found is then kept as a feature."""


def told(findings: Iterable[Finding], ignored: Sequence[str]) -> tuple[Finding, ...]:
    """Returns the findings whose codes are not ignored.

    Raises:
        DatasetError: There is no such code.
    """
    for code in ignored:
        if code not in CODES:
            raise DatasetError(
                f"--ignore {code}: there is no such finding{closest(code, CODES)}; expected some of"
                f" {', '.join(CODES)}."
            )
    return tuple(finding for finding in findings if finding.code not in ignored)
