// SPDX-License-Identifier: Apache-2.0
// Epoch logs of one disk for tests of the program:
//   make_log LOG DISK_BYTES             holds no epoch
//   make_log LOG DISK_BYTES mismatch    its only epoch reads a page that no disk holds
#include <string>

#include "replay/archive/epoch_log.h"

using namespace fmvm;

namespace {

// With a digest that is none of a page.
Result<void> add_mismatch(replay::EpochLogWriter& writer) {
    replay::BlockRecord record;
    record.sequence = 1;
    record.op = BlockOp::read;
    record.length = 4096;
    record.digest = 1;
    return writer.append({1, 1, 1}, std::span(&record, 1));
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 3 && count != 4) return 2;
    replay::EpochLogHeader header;
    header.vm = {1};
    header.disks.push_back({std::stoull(arguments[2]), 512, false});
    const auto writer = replay::EpochLogWriter::create(arguments[1], header);
    if (!writer.ok()) return 1;
    return count == 3 || add_mismatch(*writer.value()).ok() ? 0 : 1;
}
