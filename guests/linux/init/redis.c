// SPDX-License-Identifier: Apache-2.0
// The workload "redis": Debian's redis-server, which answers a write once its append-only file is
// on the disk. It ends when a client says SHUTDOWN.
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init.h"

void run_redis(const struct options* options) {
    int status;
    mount_data(options->disk);
    set_up_network(options->address);
    const pid_t pid = vfork();
    if (pid < 0) fail("cannot fork: %s", strerror(errno));
    if (pid == 0) {
        // Nothing forks in the background: the machine is small. With a log of its own it draws no
        // picture.
        execl("/usr/bin/redis-server", "redis-server", "--bind", "0.0.0.0", "--protected-mode",
              "no", "--dir", DATA_DIR, "--appendonly", "yes", "--appendfsync", "always", "--save",
              "", "--auto-aof-rewrite-percentage", "0", "--logfile", "/dev/console", NULL);
        _exit(127);
    }
    if (waitpid(pid, &status, 0) != pid || status != 0)
        fail("redis-server ended with status %#x", (unsigned)status);
    say("redis done");
}
