"""Search spaces: YAML files in, configurations out."""
