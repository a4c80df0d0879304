// SPDX-License-Identifier: Apache-2.0
// Opening a raw image file or a block device: checked, measured and locked.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace fmvm {

struct DiskImage {
    UniqueFd fd;
    std::string path;                    // as it was given, for messages
    std::uint64_t size = 0;              // bytes
    std::uint32_t block_size = 512;      // smallest unit of I/O: 512, or more with direct I/O
    std::uint32_t memory_alignment = 1;  // of buffers; more than 1 with direct I/O
    bool read_only = false;

    struct Options {
        bool read_only = false;
        bool direct = false;  // O_DIRECT: past the host's page cache
        bool lock = true;     // false: try_lock() is called later, before anything is written
        std::chrono::milliseconds lock_wait{1500};
    };
    // Takes an exclusive lock on the image (a shared one if read-only), so that two VMs cannot
    // write the same disk. The kernel keeps it until the last I/O of the process that held it has
    // ended, even after SIGKILL: a successor waits for that up to options.lock_wait.
    static Result<DiskImage> open(const std::string& path, const Options& options);
    // For an image that was opened without: takes the lock; false while another holds it.
    Result<bool> try_lock() const;
    // Who waits for the lock looks so often.
    static constexpr std::chrono::milliseconds lock_look{2};
    // Gives the lock up now; for an owner without I/O in flight.
    void unlock() const;
};

}  // namespace fmvm
