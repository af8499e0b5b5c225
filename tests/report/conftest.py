"""Studies by script, for reports that read a store."""

from scripted_studies import scripted_study  # noqa: F401 - a fixture
