// SPDX-License-Identifier: Apache-2.0
// The init of fmvm's Linux guest: mounts what every program needs, runs the workload that the
// kernel command line names, and ends the machine as told.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "init.h"

static void mount_system(void) {
    static const struct {
        const char* type;
        const char* path;
    } kMounts[] = {{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}};
    for (size_t i = 0; i < sizeof kMounts / sizeof kMounts[0]; ++i) {
        mkdir(kMounts[i].path, 0755);
        if (mount(kMounts[i].type, kMounts[i].path, kMounts[i].type, 0, NULL) != 0)
            fail("cannot mount %s: %s", kMounts[i].path, strerror(errno));
    }
}

static bool is_key(const char* word, const char* key, const char** value) {
    const size_t size = strlen(key);
    if (strncmp(word, key, size) != 0 || word[size] != '=') return false;
    *value = word + size + 1;
    return true;
}

static uint32_t parse_number(const char* key, const char* text) {
    char* rest;
    errno = 0;
    const unsigned long number = strtoul(text, &rest, 10);
    if (text[0] < '0' || text[0] > '9' || *rest != '\0' || errno != 0 || number > UINT32_MAX)
        fail("%s=%s is not a number", key, text);
    return (uint32_t)number;
}

static void parse_word(struct options* options, const char* word) {
    const char* value;
    if (is_key(word, "fmvm.work", &value)) {
        snprintf(options->work, sizeof options->work, "%s", value);
    } else if (is_key(word, "fmvm.end", &value)) {
        snprintf(options->end, sizeof options->end, "%s", value);
    } else if (is_key(word, "fmvm.disk", &value)) {
        snprintf(options->disk, sizeof options->disk, "%s", value);
    } else if (is_key(word, "fmvm.address", &value)) {
        snprintf(options->address, sizeof options->address, "%s", value);
    } else if (is_key(word, "fmvm.count", &value)) {
        options->count = parse_number("fmvm.count", value);
    } else if (is_key(word, "fmvm.interval_ms", &value)) {
        options->interval_ms = parse_number("fmvm.interval_ms", value);
    } else if (is_key(word, "fmvm.report", &value)) {
        options->report = parse_number("fmvm.report", value);
        if (options->report == 0) fail("fmvm.report=0: there would be no line at all");
    } else if (strncmp(word, "fmvm.", 5) == 0) {
        fail("unknown key %s", word);
    }
}

static struct options parse_command_line(void) {
    struct options options = {.work = "shell",
                              .end = "poweroff",
                              .disk = "/dev/vda",
                              .address = "10.0.2.15/24",
                              .count = 100,
                              .report = 1};
    char line[4096];
    const int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
    const ssize_t size = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
    if (size < 0) fail("cannot read /proc/cmdline: %s", strerror(errno));
    close(fd);
    line[size] = '\0';
    for (char* word = strtok(line, " \n"); word != NULL; word = strtok(NULL, " \n"))
        parse_word(&options, word);
    return options;
}

// A shell on the console, with job control: /dev/console itself cannot control a session.
void run_shell(void) {
    const pid_t pid = fork();
    if (pid < 0) fail("cannot fork: %s", strerror(errno));
    if (pid == 0) {
        setsid();
        const int tty = open("/dev/ttyS0", O_RDWR);
        if (tty >= 0) {
            ioctl(tty, TIOCSCTTY, 1);
            for (int fd = 0; fd <= 2; ++fd)
                dup2(tty, fd);
        }
        execl("/bin/sh", "-sh", NULL);
        _exit(127);
    }
    // As process 1 we also inherit, and must bury, the children of others.
    pid_t ended;
    do {
        ended = wait(NULL);
    } while (ended != pid && (ended >= 0 || errno == EINTR));
}

int main(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    say("fmvm-init: ready t=%ld.%03ld", (long)now.tv_sec, now.tv_nsec / 1000000);
    // Kernel messages below an error would break into our lines.
    klogctl(8, NULL, 4);
    mount_system();
    setenv("PATH", "/bin:/sbin:/usr/bin:/usr/sbin", 1);

    const struct options options = parse_command_line();
    if (strcmp(options.work, "records") == 0) {
        run_records(&options);
    } else if (strcmp(options.work, "sqlite") == 0) {
        run_sqlite(&options);
    } else if (strcmp(options.work, "serve") == 0) {
        run_serve(&options);
    } else if (strcmp(options.work, "redis") == 0) {
        run_redis(&options);
    } else if (strcmp(options.work, "shell") == 0) {
        run_shell();
    } else if (strcmp(options.work, "none") != 0) {
        fail("fmvm.work=%s is none of records, sqlite, serve, redis, shell, none", options.work);
    }
    end_machine(options.end);
}
