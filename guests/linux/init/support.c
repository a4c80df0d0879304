// SPDX-License-Identifier: Apache-2.0
// Console lines, mounting, time and the ways out of the machine.
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "init.h"

static void say_v(const char* prefix, const char* format, va_list arguments) {
    char line[512];
    int size = snprintf(line, sizeof line - 1, "%s", prefix);
    size += vsnprintf(line + size, sizeof line - 1 - (size_t)size, format, arguments);
    if (size > (int)sizeof line - 2) size = (int)sizeof line - 2;
    line[size++] = '\n';
    for (int done = 0; done < size;) {
        const ssize_t n = write(STDOUT_FILENO, line + done, (size_t)(size - done));
        if (n < 0 && errno != EINTR) return;
        if (n > 0) done += (int)n;
    }
}

void say(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say_v("", format, arguments);
    va_end(arguments);
}

void fail(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say_v("fmvm-init: FAILED: ", format, arguments);
    va_end(arguments);
    umount(DATA_DIR);
    sync();
    tcdrain(STDOUT_FILENO);
    reboot(RB_AUTOBOOT);
    for (;;)
        pause();
}

// ACPI's sleep control register as fmvm places it. This kernel has no ACPI, so the value (SLP_TYP
// 5, SLP_EN; ACPI 6.4 section 4.8.3.7) is written by hand.
static void power_off(void) {
    enum { kSleepControlPort = 0x600, kSleepEnable = 5 << 2 | 1 << 5 };
    const uint8_t value = kSleepEnable;
    const int fd = open("/dev/port", O_WRONLY | O_CLOEXEC);
    if (fd < 0) fail("cannot open /dev/port: %s", strerror(errno));
    if (pwrite(fd, &value, 1, kSleepControlPort) != 1)
        fail("cannot write the power-off port: %s", strerror(errno));
    fail("the power-off port did not power the machine off");
}

void end_machine(const char* end) {
    if (umount(DATA_DIR) != 0 && errno != EINVAL && errno != ENOENT)
        fail("cannot unmount " DATA_DIR ": %s", strerror(errno));
    sync();
    if (strcmp(end, "shell") == 0) {
        run_shell();
        end = "poweroff";
    }
    say("fmvm-init: %s", end);
    tcdrain(STDOUT_FILENO);
    if (strcmp(end, "poweroff") == 0) power_off();
    if (strcmp(end, "reset") == 0) reboot(RB_AUTOBOOT);
    if (strcmp(end, "halt") == 0) reboot((int)RB_HALT_SYSTEM);
    fail("fmvm.end=%s is none of poweroff, reset, halt, shell", end);
}

void mount_data(const char* disk) {
    mkdir(DATA_DIR, 0755);
    if (mount(disk, DATA_DIR, "ext4", MS_NOATIME, NULL) != 0)
        fail("cannot mount %s: %s", disk, strerror(errno));
}

void pause_ms(uint32_t ms) {
    struct timespec left = {ms / 1000, (long)(ms % 1000) * 1000000};
    while (ms != 0 && nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

uint32_t crc32(uint32_t crc, const void* bytes, size_t size) {
    const uint8_t* p = bytes;
    crc = ~crc;
    while (size-- > 0) {
        crc ^= *p++;
        for (int bit = 0; bit < 8; ++bit)
            crc = (crc >> 1) ^ (0xEDB88320u & -(crc & 1));
    }
    return ~crc;
}
