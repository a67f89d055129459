"""A `config.yaml` that is no YAML ends a run with its line; Snakemake, which reads it next, names neither file nor line."""

import os
import sys

import yaml

if os.path.exists("config.yaml") and not workflow.modifier.parent_modifier:
    try:
        with open("config.yaml", encoding="utf-8") as file:
            for _ in yaml.parse(file, yaml.SafeLoader):
                pass
    except yaml.MarkedYAMLError as error:
        place = error.problem_mark or error.context_mark
        where = f", line {place.line + 1}, column {place.column + 1}" if place else ""
        sys.exit(
            f"error: config.yaml{where}: {error.problem}; indent with spaces, not tabs, and the keys of one group alike"
        )
    except (OSError, ValueError, yaml.YAMLError):  # Snakemake says it
        pass
