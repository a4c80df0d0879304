// SPDX-License-Identifier: Apache-2.0
// make_log LOG DISK_BYTES: an epoch log of one disk, which holds no epoch, for tests of the
// program.
#include <string>

#include "replay/archive/epoch_log.h"

int main(int count, char** arguments) {
    if (count != 3) return 2;
    fmvm::replay::EpochLogHeader header;
    header.vm = {1};
    header.disks.push_back({std::stoull(arguments[2]), 512, false});
    return fmvm::replay::EpochLogWriter::create(arguments[1], header).ok() ? 0 : 1;
}
