"""The files and the page of `deploy/slurm`, on a real SLURM of one node."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from hubbub.engine.clients import OWN_SETTINGS, WORKER_ENVIRONMENT
from hubbub.store.opening import open_store
from tests.chaos.processes import SMALL_UNITS, Run, wait_for_parts, wait_until
from tests.deploy.commands import ROOT, files_named, hubbub_lines, indented, parse
from tests.jobs.command import refuse, succeed
from tests.servers.slurm import Slurm

FOLDER = ROOT / "deploy" / "slurm"
PAGE = FOLDER / "README.md"
CLUSTER_FILES = [FOLDER / "cluster.yaml", FOLDER / "cluster-gpu.yaml"]
SMALLER = (
    ("queue: main", "queue: compute"),
    ("; s/account: null/account: acoustics/", ""),
    ("cores: 16", "cores: 2"),
    ("processes: 16", "processes: 2"),
    ("memory: 64GiB", "memory: 4GiB"),
    ("partition=main", "partition=compute"),
    ("ntasks=32", "ntasks=2"),
)
"""What a user puts in for the test's node, in the commands of the page."""


@pytest.fixture
def place(tmp_path: Path, slurm: Slurm, clips: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the page's copies of its files, made by the page's own commands, and a clip table."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DASK_INTERFACE", "lo")
    shutil.copytree(FOLDER, tmp_path / "deploy" / "slurm")
    for line in indented(PAGE):
        if line.startswith(("cp ", "sed ")):
            for theirs, ours in SMALLER:
                line = line.replace(theirs, ours)
            subprocess.run(line, shell=True, check=True)
    shutil.copy(clips, tmp_path / "clips.parquet")
    return tmp_path


@pytest.fixture(scope="module")
def clips(esc10_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "clips.parquet"
    succeed("index", esc10_mini, "-o", path)
    return path


@pytest.fixture
def run(place: Path) -> Iterator[Run]:
    """Features of the clips with workers in SLURM jobs, in the background."""
    words = ("features", "clips.parquet", "-o", "store", "--cluster", "cluster.yaml", *SMALL_UNITS)
    run = Run(words, place / "said.txt")
    yield run
    if not run.over:
        run.process.kill()


def edit(file: Path, **options: object) -> None:
    said = yaml.safe_load(file.read_text())
    said["cluster"]["options"].update(options)
    file.write_text(yaml.safe_dump(said))


@pytest.mark.slow
def test_a_worker_job_that_is_cancelled_is_made_up_for(place: Path, slurm: Slurm, run: Run) -> None:
    wait_for_parts(place / "store" / "rows", 3, run)
    cancelled = slurm.running()[0]
    slurm.call("scancel", "--full", cancelled)
    assert run.wait() == 0, run.said
    assert len(open_store(place / "store").rows()) == 100
    succeed("verify", "store", "--clips", "clips.parquet")
    assert slurm.jobs() == [], "the end cancels what is left"
    said = "".join(path.read_text() for path in (place / "slurm-logs").glob(f"*-{cancelled}.err"))
    assert "CANCELLED" in said


def test_what_sbatch_refuses_is_told_in_its_words(place: Path, slurm: Slurm) -> None:
    edit(place / "cluster.yaml", queue="nowhere")
    said = refuse("features", "clips.parquet", "-o", "store", "--cluster", "cluster.yaml")
    assert (
        "cluster.yaml: SLURMCluster cannot start workers: sbatch: error: invalid partition specified: nowhere" in said
    )
    assert slurm.jobs() == []


@pytest.mark.slow
def test_a_queue_that_gives_no_worker_is_given_up_with_where_to_look(place: Path, slurm: Slurm) -> None:
    edit(place / "cluster.yaml", job_extra_directives=["--begin=now+1hour"])
    text = (place / "cluster.yaml").read_text()
    (place / "cluster.yaml").write_text(re.sub("workers_within_s: .*", "workers_within_s: 2", text))
    said = refuse("features", "clips.parquet", "-o", "store", "--cluster", "cluster.yaml")
    assert "SLURMCluster has had no worker for 2 s (workers_within_s)" in said
    assert re.search(r"what 'squeue --me' says of its jobs \d+; what they printed is in slurm-logs", said)
    assert "#SBATCH --begin=now+1hour" in said
    assert "export MALLOC_ARENA_MAX=1" in said, "workers have the settings of hubbub"
    assert slurm.jobs() == []


def ended(slurm: Slurm, submitted: str, patience_s: float = 120) -> tuple[str, str]:
    """Wait for a job; returns its state and exit code."""
    number = submitted.split()[-1]
    wait_until(lambda: number not in slurm.jobs(), f"the end of job {number}", patience_s)
    shown = slurm.call("scontrol", "show", "job", number)
    return re.findall(r"JobState=(\w+)", shown)[0], re.findall(r"ExitCode=(\d+):", shown)[0]


@pytest.mark.slow
def test_one_allocation_holds_everything_and_has_the_commands_exit_code(place: Path, slurm: Slurm) -> None:
    (line,) = (line for line in indented(PAGE) if line.startswith("sbatch "))
    submitted = slurm.call(*line.split())
    wrong = slurm.call("sbatch", "one-allocation.sbatch", "features", "nowhere.parquet", "-o", "store-2")
    assert ended(slurm, submitted) == ("COMPLETED", "0"), "\n".join(p.read_text() for p in place.glob("hubbub-*"))
    succeed("verify", "store", "--clips", "clips.parquet")
    assert ended(slurm, wrong) == ("FAILED", "2")
    assert "nowhere.parquet" in next(place.glob(f"hubbub-{wrong.split()[-1]}.out")).read_text()
    assert list(place.glob("hubbub-*.json")) == []


@pytest.mark.slow
def test_an_allocation_that_is_asked_to_end_commits_what_is_in_flight(place: Path, slurm: Slurm) -> None:
    words = ("one-allocation.sbatch", "features", "clips.parquet", "-o", "store", *SMALL_UNITS)
    submitted = slurm.call("sbatch", *words)
    rows = place / "store" / "rows"
    wait_until(lambda: len(list(rows.glob("[0-9]*.parquet"))) >= 3, "three parts")
    slurm.call("scancel", "--signal=INT", "--batch", submitted.split()[-1])
    assert ended(slurm, submitted) == ("FAILED", "130")
    assert 3 <= len(open_store(place / "store").committed()) < 50
    assert ended(slurm, slurm.call("sbatch", *words)) == ("COMPLETED", "0")
    assert len(open_store(place / "store").rows()) == 100


@pytest.mark.parametrize("name", ["cluster.yaml", "cluster-gpu.yaml"])
def test_slurm_takes_the_jobs_of_a_cluster_file(name: str, place: Path, slurm: Slurm) -> None:
    """As it is but for the size of the node; a GPU is asked for where the file is for GPUs."""
    from dask_jobqueue import SLURMCluster

    options = yaml.safe_load((place / name).read_text())["cluster"]["options"]
    with SLURMCluster(**options | {"memory": "4GiB"}) as cluster:
        (place / "job.sh").write_text(cluster.job_script())
    slurm.call("sbatch", "--test-only", "job.sh")
    assert ("--resources GPU=1" in cluster.job_script()) == ("--gres=gpu:1" in cluster.job_script()) == ("gpu" in name)


@pytest.mark.parametrize("file", CLUSTER_FILES, ids=lambda file: file.stem)
def test_workers_leave_before_the_walltime_kills_them(file: Path) -> None:
    options = yaml.safe_load(file.read_text())["cluster"]["options"]
    hours, minutes, _ = map(int, options["walltime"].split(":"))
    words = options["worker_extra_args"]
    leave = [int(words[words.index(word) + 1].removesuffix("m")) for word in ("--lifetime", "--lifetime-stagger")]
    assert sum(leave) + 5 <= hours * 60 + minutes
    assert options["cores"] == options["processes"], "one thread a process"


def test_the_allocation_has_the_settings_of_clusters_that_hubbub_starts() -> None:
    script = (FOLDER / "one-allocation.sbatch").read_text()
    exported = dict(re.findall(r"(\w+)=(\S+)", " ".join(re.findall(r"^export (.*)$", script, re.MULTILINE))))
    others = {
        "DASK_" + key.replace(".", "__").replace("-", "_").upper(): str(value)
        for key, value in OWN_SETTINGS.items()
        if "pre-spawn-environ" not in key
    }
    assert exported == {name: str(value) for name, value in WORKER_ENVIRONMENT.items()} | others


def test_the_page_names_what_there_is() -> None:
    assert [str(path) for path in files_named(PAGE) if not path.exists()] == []
    assert {*CLUSTER_FILES, FOLDER / "one-allocation.sbatch"} <= files_named(PAGE)
    lines = hubbub_lines(PAGE)
    assert len(lines) >= 5
    for words in lines:
        if words[2:] and words[1] != "status":
            parse(words)
