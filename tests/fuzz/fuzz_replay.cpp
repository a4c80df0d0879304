// SPDX-License-Identifier: Apache-2.0
// A primary that sends any block log at all to a backup with a little RAM and two small disks. What
// must hold: a record is refused, or it can be carried out without reaching beyond RAM and disks
// (AddressSanitizer watches), and the replayer always comes to an end.
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/check.h"
#include "base/digest.h"
#include "lockstep/wire/block_log_codec.h"
#include "replay/apply/replayer.h"
#include "support/faulty_backend.h"

namespace {

using namespace fmvm;

constexpr std::uint64_t ram_bytes = 16 * page_size;
constexpr std::uint64_t disk_bytes = 64 * kib;

// Digests would stop nearly every random write: they are made to fit, but for every fourth record.
void forge_digest(replay::BlockRecord& record, const GuestMemory& memory) {
    if (record.op != BlockOp::write || record.sequence % 4 == 3) return;
    Digest digest;
    if (record.by_value) digest.add(record.payload);
    for (const Segment& segment : record.segments)
        digest.add({memory.host_range(segment.address, segment.length), segment.length});
    record.digest = digest.value();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::array ranges{GuestMemory::Range{GuestAddress(0), ram_bytes}};
    GuestMemory memory = GuestMemory::allocate(ranges).value();
    const auto image = std::make_shared<std::vector<std::uint8_t>>(disk_bytes);
    test::MemoryBackend disk(image);
    test::MemoryBackend read_only(image, {.read_only = true});
    replay::Replayer replayer(&memory, {&disk, &read_only});
    Result<lockstep::BlockLogBody> log = lockstep::parse_block_log_body({data, size});
    if (!log.ok()) return 0;
    for (replay::BlockRecord& record : log.value().records) {
        if (!replayer.check(record).ok()) return 0;
        forge_digest(record, memory);
        if (!replayer.replay({&record, 1}).ok()) return 0;
    }
    FMVM_CHECK(replayer.sync().ok());
    return 0;
}
