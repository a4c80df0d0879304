// SPDX-License-Identifier: Apache-2.0
// Any file at all as an epoch log. The digests would stop nearly every random byte at the door, so
// the first byte of the input chooses what the rest is:
//
//     odd   the file as it is
//     even  a header for two small disks and epochs (u16 length of the records, records), all with
//           fitting digests; what is left over is the file's torn end
//
// What must hold: an epoch is refused, or its records fit the disks; and nothing is allocated that
// the file does not hold (libFuzzer watches memory).
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "base/digest.h"
#include "base/file_io.h"
#include "replay/archive/log_replay.h"

namespace {

using namespace fmvm;
using Input = std::span<const std::uint8_t>;

constexpr std::uint64_t disk_bytes = 64 * kib;

ByteWriter make_header() {
    ByteWriter out;
    for (const char c : std::string("FMVMLOG1"))
        out.u8(static_cast<std::uint8_t>(c));
    for (int i = 0; i < 3; ++i)
        out.u64(0);  // VM id, time
    out.u32(2);
    for (const bool read_only : {false, true}) {
        out.u64(disk_bytes);
        out.u32(512);
        out.flag(read_only);
    }
    out.u64(digest_of(out.bytes()));
    return out;
}

void add_epoch(ByteWriter& out, std::uint64_t number, Input records) {
    ByteWriter head;
    head.u64(number);
    for (int i = 0; i < 3; ++i)
        head.u64(0);  // generation, shipped, cut
    head.u64(records.size());
    head.u64(digest_of(records));
    head.u64(digest_of(head.bytes()));
    out.raw(head.bytes());
    out.raw(records);
}

std::vector<std::uint8_t> make_file(Input input) {
    ByteWriter out = make_header();
    ByteReader in(input);
    for (std::uint64_t number = 1; in.remaining() > 2; ++number) {
        const std::uint16_t length = in.u16();
        if (length > in.remaining()) {
            out.raw(in.raw(in.remaining()));
            break;
        }
        add_epoch(out, number, in.raw(length));
    }
    return out.take();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const Input rest(data + 1, size - 1);
    const bool as_it_is = data[0] % 2 == 1;
    const std::vector<std::uint8_t> file =
        as_it_is ? std::vector<std::uint8_t>(rest.begin(), rest.end()) : make_file(rest);
    const UniqueFd fd(::memfd_create("log", MFD_CLOEXEC));
    FMVM_CHECK(fd && write_all(fd.get(), std::as_bytes(std::span(file))) == 0);
    const std::string path = "/proc/self/fd/" + std::to_string(fd.get());
    (void)replay::survey_log(path, replay::until_end);
    const auto reader = replay::EpochLogReader::open(path);
    FMVM_CHECK(as_it_is || reader.ok());
    if (!reader.ok()) return 0;
    while (true) {
        const auto next = reader.value()->next();
        if (!next.ok() || !next.value()) break;
        for (const replay::BlockRecord& record : next.value()->records) {
            const auto& disks = reader.value()->header().disks;
            FMVM_CHECK(range_fits(record.offset, record.length, disks[record.disk].capacity));
        }
    }
    return 0;
}
