// SPDX-License-Identifier: Apache-2.0
// The workload "records": append numbered, checksummed lines to a file, each fsynced before it is
// named on the console. guests/linux/check-records knows the same format.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "init.h"

// "NNNNNNNNNN PADDING CCCCCCCC\n": number in decimal, letters that follow from it, and the CRC-32
// of all that stands before it, in hexadecimal.
enum { kRecordSize = 128, kNumberSize = 11, kCrcOffset = kRecordSize - 9 };

static const char kPath[] = DATA_DIR "/records";

static uint32_t make_record(char record[kRecordSize + 1], uint32_t number) {
    snprintf(record, kNumberSize + 1, "%010u ", (unsigned)number);
    uint32_t state = number;
    for (int i = kNumberSize; i < kCrcOffset - 1; ++i) {
        state = state * 1664525u + 1013904223u;
        record[i] = (char)('a' + (state >> 24) % 26);
    }
    record[kCrcOffset - 1] = ' ';
    const uint32_t crc = crc32(0, record, kCrcOffset);
    snprintf(record + kCrcOffset, 10, "%08x\n", (unsigned)crc);
    return crc;
}

// Returns the number of intact records at the start of the file and cuts off what follows them.
static uint32_t keep_intact_records(int fd) {
    char expected[kRecordSize + 1];
    char found[kRecordSize];
    uint32_t number = 0;
    for (;;) {
        make_record(expected, number + 1);
        if (read(fd, found, sizeof found) != (ssize_t)sizeof found ||
            memcmp(found, expected, sizeof found) != 0)
            break;
        ++number;
    }
    if (ftruncate(fd, (off_t)number * kRecordSize) != 0 || lseek(fd, 0, SEEK_END) < 0)
        fail("cannot cut %s after record %u: %s", kPath, (unsigned)number, strerror(errno));
    return number;
}

static int open_records(void) {
    const int fd = open(kPath, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) fail("cannot open %s: %s", kPath, strerror(errno));
    // The name must be as durable as the first record.
    const int dir = open(DATA_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 || fsync(dir) != 0) fail("cannot fsync " DATA_DIR ": %s", strerror(errno));
    close(dir);
    return fd;
}

void run_records(const struct options* options) {
    mount_data(options->disk);
    const int fd = open_records();
    const uint32_t first = keep_intact_records(fd) + 1;
    if (first > 1) say("records resumed after %u", (unsigned)(first - 1));
    for (uint32_t number = first; number <= options->count; ++number) {
        char record[kRecordSize + 1];
        const uint32_t crc = make_record(record, number);
        if (write(fd, record, kRecordSize) != kRecordSize)
            fail("cannot write record %u: %s", (unsigned)number, strerror(errno));
        if (fsync(fd) != 0) fail("cannot fsync record %u: %s", (unsigned)number, strerror(errno));
        if (number % options->report == 0) say("record %u %08x", (unsigned)number, (unsigned)crc);
        pause_ms(options->interval_ms);
    }
    close(fd);
    say("records done %u", (unsigned)options->count);
}
