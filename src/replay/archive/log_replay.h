// SPDX-License-Identifier: Apache-2.0
// An epoch log carried out on copies of the images that its guest started from, up to an epoch.
//
// The log is read twice. First all of it that will be used is checked, and for each byte of the
// disks the record that changes it last is found, before any image is touched. Then it is carried
// out. A read (the first epoch's tell what the images held at the start) is verified unless a later
// record, within what is replayed, changes something of what it read: then it tells nothing about
// the result. So an image that this log, or a part of what is replayed of it, was replayed onto
// before will do as well, and becomes the same.
//
// Threads: one at a time.
#pragma once

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "replay/archive/epoch_log.h"
#include "replay/archive/last_changes.h"

namespace fmvm::replay {

inline constexpr std::uint64_t until_end = std::numeric_limits<std::uint64_t>::max();

// What of a log is to be replayed; whole and checked.
struct LogSurvey {
    std::string path;
    EpochLogHeader header;
    std::uint64_t epochs = 0;  // the number of the last one, too
    EpochStamp last;
    std::uint64_t records = 0;
    std::uint64_t bytes_written = 0;   // payloads
    std::vector<LastChanges> changes;  // of each disk, by the number of records before and with it
};

// After reading up to epoch `last`, the one before `until` or `until` itself: whether that is what
// was asked for. Tells when the file ends in the middle of an epoch.
Result<void> check_end(const EpochLogReader& reader, std::uint64_t last, std::uint64_t until);

// Reads the log up to and with epoch `until`. An error: it is damaged there, or ends before.
Result<LogSurvey> survey_log(const std::string& path, std::uint64_t until);

struct ReplayedLog {
    std::uint64_t reads_verified = 0;
    std::uint64_t reads_passed = 0;  // what they read is changed later
};

// Carries it out; on stable storage when it returns. Disks, in order, are as large as the header
// says and idle; nobody runs their loop. progress: after each epoch, its number.
Result<ReplayedLog> replay_log(const LogSurvey& survey, const std::vector<BlockBackend*>& disks,
                               const std::function<void(std::uint64_t)>& progress);

}  // namespace fmvm::replay
