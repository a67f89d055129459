"""The files of this workflow on a disk, where Snakemake reads it from a git repository (by `github(...)`, say).

Snakemake then fetches single files, but scripts import the library beside them and rules name files of the workflow.
What is included after this comes from a folder of the project that has all files of the commit.
"""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from snakemake.sourcecache import HostingProviderFile, LocalGitFile, LocalSourceFile


def lay_out(repository, reference):
    """The folder with the files of a commit; each commit has its own, which is made once."""
    commit = repository.commit(reference).hexsha
    folder = Path(".snakemake/flatfield", commit)
    if not folder.exists():
        import tarfile

        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as part, tempfile.TemporaryFile() as archive:
            repository.archive(archive, commit)
            archive.seek(0)
            with tarfile.open(fileobj=archive) as files:
                files.extractall(f"{part}/files")
            with suppress(OSError):  # another process was faster
                os.rename(f"{part}/files", folder)
    return folder


snakefile = workflow.included_stack[-2]
if isinstance(snakefile, HostingProviderFile | LocalGitFile):
    if isinstance(snakefile, HostingProviderFile):
        snakefile.fetch_if_required()
        repository = snakefile.hosted_repo.repo
    else:
        import git

        repository = git.Repo(snakefile.repo_path)
    workflow.included_stack[-2] = LocalSourceFile(str(lay_out(repository, snakefile.ref) / snakefile.path))
