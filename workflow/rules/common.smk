"""Load and validate the configuration, make the plan, and give rules what they need of it."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import psutil
from snakemake.exceptions import WorkflowError

WORKFLOW = Path(os.path.relpath(str(workflow.current_basedir))).parent
sys.path.insert(0, str(WORKFLOW / "scripts"))

from flatfield.demo import names as demo
from flatfield.files.errors import ConfigurationError
from flatfield.files.frame_table import read_frames
from flatfield.files.tables import read_table
from flatfield.plan import configuration, handover, storage, tracking
from flatfield.plan.plan import Plan
from flatfield.plan.resources import Machine

RESULTS = workflow.pathvars.apply("<results>")


try:
    for path in workflow.configfiles:
        configuration.check_duplicate_keys(path)
    schema = configuration.read_yaml(WORKFLOW / "schemas/config.schema.yaml")
    config = configuration.validate(config, schema)
    configuration.check_results_folder(RESULTS, [*config["sets"], *configuration.RESERVED_NAMES])
    STORED = storage.list_stored(workflow, config["raw_root"])
    demo_folder = workflow.pathvars.apply("<resources>/demo")
    PLAN = Plan.make(config, configuration.read_preset(config, schema), demo_folder, STORED)
except ConfigurationError as error:
    message = f"{', '.join(map(str, workflow.configfiles)) or 'configuration'}: {error}"
    if workflow.modifier.parent_modifier:  # part of another workflow, which must not end here
        raise WorkflowError(message) from error
    sys.exit(f"error: {message}")


wildcard_constraints:
    **PLAN.wildcards(),


def asked(owner, attribute, patterns):
    """An attribute of a set, light or offsets; a method is called with these texts after filling in wildcards."""

    def value(wildcards):
        found = getattr(owner(wildcards), attribute)
        return found(*(pattern.format(**wildcards) for pattern in patterns)) if callable(found) else found

    return value


def of_set(attribute, *patterns):
    return asked(lambda wildcards: PLAN.sets[wildcards.set], attribute, patterns)


def of_light(attribute, *patterns):
    return asked(lambda wildcards: PLAN.lights[wildcards.light], attribute, patterns)


def usable(light):
    """A light without the frames that are left out, which is known once they were checked."""
    if not light.leaves_out:
        return light
    table = storage.fetch(workflow, checkpoints.select_frames.get(light=light.name).output.lost)
    return light.without({row["frame"] for row in read_table(table)})


def of_usable_light(attribute):
    return asked(lambda wildcards: usable(PLAN.lights[wildcards.light]), attribute, ())


def of_usable(attribute):
    """An attribute of the plan without these frames."""
    return asked(
        lambda wildcards: replace(PLAN, lights={name: usable(PLAN.lights[name]) for name in PLAN.lights}), attribute, ()
    )


def of_offsets(attribute, *patterns):
    return asked(lambda wildcards: PLAN.offsets[wildcards.owner], attribute, patterns)


def machine():
    """Where jobs run: this machine, or a cluster, where the number of jobs is limited and not the cores they share."""
    try:
        cores = None if workflow.remote_exec or not workflow.cores else workflow.cores
    except WorkflowError:
        cores = None
    return Machine(cores, psutil.virtual_memory().total // 1_000_000, config["memory_mb"])


def all_cores(wildcards=None):
    return machine().all_cores


def threads_to_combine(wildcards, input):
    first = PLAN.sets[wildcards.set].frames[0]
    size = STORED.get(first) or (os.path.getsize(first) if os.path.exists(first) else 0)
    return machine().threads(len(input.frames), size, PLAN.combining_jobs)


def threads_to_inspect(wildcards, input):
    return all_cores() if machine().cores else threads_to_combine(wildcards, input)


def memory_to_combine(table="inspected", **options):
    """Memory of the arrays of a job, MB; for options see `flatfield.plan.resources.Machine.arrays_mb`."""

    def arrays_mb(wildcards, input, threads):
        frames = read_frames(storage.fetch(workflow, input[table]))
        return machine().arrays_mb(frames, input.frames, threads, **options)

    return arrays_mb


def whole_job(arrays_mb):
    return lambda wildcards, input, threads, attempt: machine().job_mb(arrays_mb(wildcards, input, threads), attempt)
