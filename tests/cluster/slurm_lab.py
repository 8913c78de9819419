"""A real Slurm of two nodes on this machine, for tests: slurmctld and two slurmd, started by hand.

Needs root and Debian's packages `slurm-wlm` and `munge` (22.05 and later). No systemd, no cgroups,
no accounting database. Each node has 2 CPUs and 2 pretended GPUs (character devices like
/dev/null). Everything lies in one folder; only what was started here is stopped.
"""

import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

NEEDED = ("slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "munged")
NODES = ("n0", "n1")
SLURM_FOLDER = Path("/etc/slurm")  # where the daemons and commands of Debian look

CONFIG = """\
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
SchedulerType=sched/backfill
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdSpoolDir={folder}/spool-%n
StateSaveLocation={folder}/state
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmctldPort={ports[0]}
SlurmdTimeout=20
SlurmctldTimeout=30
InactiveLimit=0
KillWait=3
MinJobAge=3600
GresTypes=gpu
NodeName=n0 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=9000 Gres=gpu:2
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory=9000 Gres=gpu:2
PartitionName=main Nodes=n0,n1 Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


def why_not() -> str:
    """Why no Slurm can be started here; "" where one can."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        return f"no {missing[0]}: apt-get install slurm-wlm munge"
    if os.geteuid() != 0:
        return "starting Slurm's daemons needs root"
    config = SLURM_FOLDER / "slurm.conf"
    if config.exists() and not config.is_symlink():
        return f"{config} is there: this machine has a Slurm of its own"
    return ""


def free_ports(n: int = 3) -> list[int]:
    """Ports of this lab alone: daemons of an earlier one, still ending, must not speak to it."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class SlurmLab:
    """The cluster; `stop` ends it, running jobs included."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        try:
            self._write_config()
            self._start_munge()
            self._start("slurmctld", "slurmctld", "-D", "-c", "-i")
            for node in NODES:
                self.start_node(node)
            self.wait_for_nodes()
        except BaseException:
            self.stop()
            raise

    def start_node(self, node: str) -> None:
        """Start a node's slurmd, the first time or again."""
        self._start(node, "slurmd", "-D", "-N", node, "-f", str(self.folder / "slurm.conf"))

    def kill_node(self, node: str) -> None:
        """`kill -9` of a node's slurmd; what it had started lives on, as on a real node."""
        process = self._processes.pop(node)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)

    def wait_for_nodes(self, seconds: float = 60) -> None:
        """Until both nodes can take jobs."""
        end_s = time.monotonic() + seconds
        while self.ask("sinfo", "-h", "-N", "-o", "%N %t").split().count("idle") < len(NODES):
            if time.monotonic() > end_s:
                raise TimeoutError(self.ask("sinfo", "-N", "-l"))
            time.sleep(0.5)

    def ask(self, *command: str) -> str:
        """What one of Slurm's commands prints; it is ended when it hangs."""
        done = subprocess.run(
            ["timeout", "-k", "5", "30", *command], capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr

    def jobs(self, state: str = "all") -> list[list[str]]:
        """Id, name, state, node and comment of the jobs there are."""
        asked = ("squeue", "-h", "-t", state, "-o", "%i|%j|%T|%N|%k")
        return [line.split("|") for line in self.ask(*asked).splitlines() if "|" in line]

    def stop(self) -> None:
        """End all jobs and daemons, and take the configuration away."""
        for job in self.jobs("running,pending"):
            self.ask("scancel", "-f", job[0])
        time.sleep(1)
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for name in ("slurm.conf", "gres.conf", "cgroup.conf"):
            (SLURM_FOLDER / name).unlink(missing_ok=True)

    def _write_config(self) -> None:
        host = socket.gethostname().split(".")[0]
        for name in ("state", "spool-n0", "spool-n1"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        gpus = []
        for number in range(4):
            device = self.folder / f"gpu{number}"
            # The twin of /dev/null: files that are no character devices are not handed out.
            os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
            gpus.append(device)
        texts = {
            "slurm.conf": CONFIG.format(host=host, folder=self.folder, ports=free_ports()),
            "gres.conf": f"NodeName=n0 Name=gpu File={gpus[0]},{gpus[1]}\n"
            f"NodeName=n1 Name=gpu File={gpus[2]},{gpus[3]}\n",
            "cgroup.conf": "CgroupPlugin=cgroup/v1\n",
        }
        SLURM_FOLDER.mkdir(exist_ok=True)
        for name, text in texts.items():
            (self.folder / name).write_text(text, encoding="utf-8")
            (SLURM_FOLDER / name).unlink(missing_ok=True)
            (SLURM_FOLDER / name).symlink_to(self.folder / name)

    def _start_munge(self) -> None:
        if subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode == 0:
            return
        for place in ("/run/munge", "/var/log/munge", "/var/lib/munge", "/etc/munge"):
            Path(place).mkdir(parents=True, exist_ok=True)
            shutil.chown(place, "munge", "munge")
        Path("/run/munge").chmod(0o755)
        subprocess.run(
            ["su", "-s", "/bin/sh", "munge", "-c", "/usr/sbin/munged"], check=True, timeout=30
        )

    def _start(self, name: str, *command: str) -> None:
        with open(self.folder / f"{name}.out", "ab") as output:
            self._processes[name] = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
