"""Describes an experiment on its page: links to the views that answer, and who won each study.

In: an experiment, a line about a study. Out: the experiment's description, which MLflow shows above
whatever a browser opens first. One that somebody else wrote is left alone.
"""

from __future__ import annotations

from mlflow import MlflowClient

from pipeline.tracking.views import STUDIES_VIEW, link

NOTE_TAG = "mlflow.note.content"
MOST_STUDIES = 12
"""Studies that are listed; the view of studies has them all."""
_OURS = "[All trials](#/experiments/"
_BEGINS, _START = ". **", "- **"


def describe_experiment(client: MlflowClient, experiment_id: str, line: str = "") -> None:
    """Writes the experiment's description, unless it is somebody else's.

    Args:
        client: Of the store.
        experiment_id: The experiment.
        line: What to say of a study, Markdown that begins with its name: ``**digits**: ...``. It
            takes the place of what was said of the same study, and stands first.
    """
    known = client.get_experiment(experiment_id).tags.get(NOTE_TAG, "")
    if known and not known.startswith(_OURS):
        return
    # Folded, MLflow shows the first line alone: the links and the study that was reported last.
    first, *rest = known.split("\n")
    lines = [f"**{said}" for said in first.split(_BEGINS, 1)[1:]]
    lines += [entry.removeprefix("- ") for entry in rest if entry.startswith(_START)]
    if line:
        subject = line.partition("**: ")[0]
        others = [entry for entry in lines if entry.partition("**: ")[0] != subject]
        lines = [line, *others][:MOST_STUDIES]
    text = _links(experiment_id) + "".join(f". {entry}" for entry in lines[:1])
    text = "\n".join([text, "", *(f"- {entry}" for entry in lines[1:])]).strip()
    if text != known:
        client.set_experiment_tag(experiment_id, NOTE_TAG, text)


def _links(experiment_id: str) -> str:
    return (
        f"[All trials]({link(experiment_id)}), [charts]({link(experiment_id, charts=True)}), "
        f"[studies]({link(experiment_id, STUDIES_VIEW)})"
    )
