// SPDX-License-Identifier: Apache-2.0
// The init of fmvm's Linux guest: what its parts share.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define DATA_DIR "/data"

// What the kernel command line asks for (the keys are in guests/linux/README.md).
struct options {
    char work[16];
    char end[16];
    char disk[64];
    char address[32];  // of eth0
    uint32_t count;
    uint32_t interval_ms;
    uint32_t report;  // every how many pieces of work there is a line
};

// One console line per call, in one write, so that lines never mix.
void say(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Says "fmvm-init: FAILED: ..." and resets the machine, which the host tells from a power-off.
_Noreturn void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Leaves the machine as `end` asks, after unmounting the disk.
_Noreturn void end_machine(const char* end);

void mount_data(const char* disk);
void set_up_network(const char* address);
void pause_ms(uint32_t ms);

// CRC-32 as in zlib; `crc` is 0 at first and the last result after that.
uint32_t crc32(uint32_t crc, const void* bytes, size_t size);

void run_records(const struct options* options);
void run_sqlite(const struct options* options);
void run_serve(const struct options* options);
void run_redis(const struct options* options);
void run_shell(void);
