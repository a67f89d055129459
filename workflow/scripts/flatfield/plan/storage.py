"""Frames and tables in a storage of Snakemake's (S3, SFTP ...), asked for through its workflow; tried with 9.27."""

import os
from types import SimpleNamespace


def list_stored(workflow, root):
    """Files of a folder in the default storage and their sizes, bytes; none without such a storage.

    They have the paths that they would have in the working folder. (The inventory of a storage is taken, as those of
    the plugins for S3 and SFTP cannot be asked with `glob_wildcards`.)

    Parameters
    ----------
    workflow : snakemake.workflow.Workflow
    root : str
    """
    provider = workflow.storage_registry.default_storage_provider
    prefix = workflow.storage_settings.default_storage_prefix
    if provider is None or not prefix:
        return {}
    inside = provider.object(f"{prefix.rstrip('/')}/{os.path.normpath(root)}/frame")
    found = SimpleNamespace(exists_in_storage={}, mtime={}, size={})
    workflow.async_run(inside.inventory(found))
    paths = {os.path.relpath(path, inside.local_path().parent): size for path, size in found.size.items()}
    return {os.path.normpath(os.path.join(root, path)): size for path, size in paths.items()}


def fetch(workflow, path):
    """An input of a job, fetched now if it is in the storage: Snakemake fetches it only when the job starts."""
    if path.is_storage and not os.path.exists(path) and workflow.async_run(path.exists_in_storage()):
        workflow.async_run(path.retrieve_from_storage())
    return path
