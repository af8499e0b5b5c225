"""Where MLflow shows a study, in a line to type or to open."""

import pytest

from pipeline.tracking.address import where_to_look


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("sqlite:////a/mlflow.db", "MLflow: mlflow ui --backend-store-uri sqlite:////a/mlflow.db"),
        (
            "sqlite:////a b/m.db",
            "MLflow: mlflow ui --backend-store-uri 'sqlite:////a b/m.db'",
        ),
        (
            "postgresql://me:secret@host/db",
            "MLflow: mlflow ui --backend-store-uri 'postgresql://***@host/db'",
        ),
        ("http://me:secret@host:5000/", "MLflow: http://***@host:5000/#/runs/abc"),
        ("https://host/base", "MLflow: https://host/base/#/runs/abc"),
        ("databricks", ""),
    ],
)
def test_a_page_is_a_command_or_a_link_without_a_password(address, line):
    assert where_to_look(address, "abc") == line


def test_a_server_without_a_run_is_not_linked():
    assert where_to_look("http://host", None) == ""
