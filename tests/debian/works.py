# SPDX-License-Identifier: Apache-2.0
"""What the Debian guest does while its hosts die: shell scripts that show on its console, in numbered
lines, what is done and will not be undone; and what its disk is asked for afterwards, booted anew."""

import dataclasses
import typing

from observer import judge_numbered


@dataclasses.dataclass(frozen=True)
class Work:
    """`word` begins each numbered line. `prepare` and `work` run in the guest as root, one after the
    other, `work` for ever; `check` prints `found N` for the last number that is on the disk, and
    nothing but it when all before is there, too; empty when nothing is. `rest`: of a line, behind its number."""
    name: str
    word: str
    prepare: str
    work: str
    check: str
    rest: str = ""

    @property
    def judge(self) -> typing.Callable:
        return lambda stream: judge_numbered(stream, self.word, self.rest)


# Each INSERT is a transaction of its own, told when PostgreSQL has acknowledged it; beside it pgbench
# writes to tables of its own.
POSTGRES = Work(
    "postgres", "commit",
    prepare="""
systemctl start postgresql
until pg_isready -q; do sleep 0.2; done
cd /tmp
runuser -u postgres -- createdb t
runuser -u postgres -- psql -qc 'CREATE TABLE log (n integer PRIMARY KEY)' t
runuser -u postgres -- psql -qc 'CREATE EXTENSION amcheck' t
runuser -u postgres -- pgbench -qis 1 t
""",
    work="""
cd /tmp
runuser -u postgres -- pgbench -c 2 -R 10 -T 1000000 t >/dev/null 2>&1 &
seq 1000000000 | awk '{ print "INSERT INTO log VALUES (" $1 ");"; print "\\\\echo commit " $1 }' |
    runuser -u postgres -- psql -qv ON_ERROR_STOP=1 t
""",
    check="""
systemctl start postgresql
until pg_isready -q; do sleep 0.2; done
cd /tmp
runuser -u postgres -- /usr/lib/postgresql/15/bin/pg_amcheck -d t --heapallindexed || echo "pg_amcheck FAILED"
runuser -u postgres -- psql -tAc "SELECT 'found ' || max(n) FROM log HAVING count(*) = max(n)" t
""")

SQLITE = Work(
    "sqlite", "txn",
    prepare="sqlite3 /root/log.db 'PRAGMA journal_mode=WAL; CREATE TABLE log (n INTEGER PRIMARY KEY)'",
    work="""
(echo 'PRAGMA synchronous=FULL;'
 seq 1000000000 | awk '{ print "INSERT INTO log VALUES (" $1 ");"; print ".print txn " $1 }') |
    sqlite3 /root/log.db
""",
    check="""
[ "$(sqlite3 /root/log.db 'PRAGMA integrity_check')" = ok ] || echo "integrity_check FAILED"
sqlite3 /root/log.db "SELECT 'found ' || max(n) FROM log HAVING count(*) = max(n)"
""")

# Each pass writes all of the file in random order, then reads it and compares checksums. Without fio's own
# progress, which it would show on the line of a pass.
FIO = Work(
    "fio", "pass",
    prepare="true",
    work="""
for ((n = 1; ; n++)); do
    fio --name=v --filename=/root/v --size=4m --rw=randwrite --bs=4k --direct=1 --ioengine=libaio --iodepth=8 --eta=never \\
        --verify=crc32c --randseed=$n --output=/tmp/fio || { echo "fio FAILED"; cat /tmp/fio; exit; }
    echo $n >/root/passes.new
    sync /root/passes.new
    mv /root/passes.new /root/passes
    sync /root
    echo "pass $n"
done
""",
    check="""echo "found $(cat /root/passes)"
""")

# dpkg makes everything durable that it unpacks.
PACKAGES = Work(
    "packages", "installed",
    prepare="""
mkdir -p /root/p/DEBIAN /root/p/opt/p
for ((i = 0; i < 60; i++)); do head -c 20000 /dev/urandom >/root/p/opt/p/$i; done
""",
    work="""
for ((n = 1; ; n++)); do
    printf 'Package: p\\nVersion: %s\\nArchitecture: all\\nMaintainer: nobody\\nDescription: p\\n' $n \\
        >/root/p/DEBIAN/control
    dpkg-deb -Znone -b /root/p /root/p.deb >/dev/null && dpkg -i /root/p.deb >/dev/null 2>&1 &&
        [ -z "$(dpkg -V p)" ] || { echo "dpkg FAILED"; exit; }
    echo "installed $n"
done
""",
    check="""
[ -z "$(dpkg --audit)$(dpkg -V)" ] || dpkg --configure -a
[ -z "$(dpkg --audit)$(dpkg -V p)" ] || echo "dpkg -V FAILED"
dpkg-query -Wf 'found ${Version}\\n' p
""")

# CLOCK_REALTIME in microseconds, CLOCK_BOOTTIME in seconds. Nothing of it is on the disk.
CLOCK = Work(
    "clock", "tick", rest=r" \d{16} \d+\.\d\d",
    prepare="systemctl stop systemd-timesyncd 2>/dev/null; true",
    work="""
for ((n = 1; ; n++)); do
    read -r boottime _ </proc/uptime
    echo "tick $n ${EPOCHREALTIME/[.,]/} $boottime"
    sleep 0.05
done
""",
    check="")

WORKS = {work.name: work for work in (POSTGRES, SQLITE, FIO, PACKAGES, CLOCK)}
# What each test of label debian runs on a Debian, and on how many CPUs of the guest.
RUNS = {"debian: servers": ((POSTGRES, 1), (POSTGRES, 2), (SQLITE, 4), (FIO, 1), (PACKAGES, 1)),
        "debian: debian_clocks": ((CLOCK, 2),)}
