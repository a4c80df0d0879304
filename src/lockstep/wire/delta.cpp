// SPDX-License-Identifier: Apache-2.0
#include "lockstep/wire/delta.h"

#include <cstring>

#include "base/bytes.h"
#include "base/check.h"

namespace fmvm::lockstep {

namespace {

constexpr std::size_t word = sizeof(std::uint64_t);
constexpr std::size_t run_max = 65535;
constexpr std::size_t run_header = 4;
constexpr std::size_t block_words = 8;

std::uint64_t load(std::span<const std::uint8_t> bytes, std::size_t index) {
    std::uint64_t value;
    std::memcpy(&value, bytes.data() + index * word, word);
    return value;
}

// The first word from `index` on that differs; `words` when none does.
std::size_t find_change(std::span<const std::uint8_t> before, std::span<const std::uint8_t> after,
                        std::size_t index, std::size_t words) {
    while (index + block_words <= words &&
           std::memcmp(before.data() + index * word, after.data() + index * word,
                       block_words * word) == 0) {
        index += block_words;
    }
    while (index < words && load(before, index) == load(after, index))
        ++index;
    return index;
}

// The end of the run that begins at `index`. One equal word between changed ones costs no more
// than a run header, so it stays inside.
std::size_t find_run_end(std::span<const std::uint8_t> before, std::span<const std::uint8_t> after,
                         std::size_t index, std::size_t words) {
    std::size_t end = index;
    for (std::size_t at = index; at < words && at < end + 2 && at - index < run_max; ++at) {
        if (load(before, at) != load(after, at)) end = at + 1;
    }
    return end;
}

void put_header(std::vector<std::uint8_t>& out, std::size_t skip, std::size_t count) {
    const std::uint16_t header[] = {static_cast<std::uint16_t>(skip),
                                    static_cast<std::uint16_t>(count)};
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(header);
    out.insert(out.end(), bytes, bytes + sizeof header);
}

// Calls visit(offset in bytes, the new bytes there) for each run; false when `delta` is malformed.
template <typename Visit>
bool walk(std::span<const std::uint8_t> delta, std::size_t length, Visit visit) {
    const std::size_t words = length / word;
    const std::size_t tail = length % word;
    if (delta.size() < tail) return false;
    std::span<const std::uint8_t> runs = delta.first(delta.size() - tail);
    std::size_t at = 0;
    while (!runs.empty()) {
        if (runs.size() < run_header) return false;
        std::uint16_t header[2];
        std::memcpy(header, runs.data(), sizeof header);
        runs = runs.subspan(run_header);
        const std::size_t bytes = header[1] * word;
        at += header[0];
        if (at > words || header[1] > words - at || bytes > runs.size()) return false;
        visit(at * word, runs.first(bytes));
        runs = runs.subspan(bytes);
        at += header[1];
    }
    visit(words * word, delta.last(tail));
    return true;
}

}  // namespace

bool encode_delta(std::span<const std::uint8_t> before, std::span<const std::uint8_t> after,
                  std::size_t limit, std::vector<std::uint8_t>& out) {
    FMVM_CHECK(before.size() == after.size());
    const std::size_t start = out.size();
    const std::size_t words = after.size() / word;
    const auto tail = after.last(after.size() % word);
    if (tail.size() > limit) return false;
    std::size_t written = 0;  // words accounted for
    for (std::size_t at = find_change(before, after, 0, words); at < words;
         at = find_change(before, after, written, words)) {
        for (; at - written > run_max; written += run_max)
            put_header(out, run_max, 0);
        const std::size_t end = find_run_end(before, after, at, words);
        put_header(out, at - written, end - at);
        out.insert(out.end(), after.begin() + static_cast<std::ptrdiff_t>(at * word),
                   after.begin() + static_cast<std::ptrdiff_t>(end * word));
        written = end;
        if (out.size() - start + tail.size() > limit) {
            out.resize(start);
            return false;
        }
    }
    out.insert(out.end(), tail.begin(), tail.end());
    return true;
}

bool check_delta(std::span<const std::uint8_t> delta, std::size_t length) {
    return walk(delta, length, [](std::size_t, std::span<const std::uint8_t>) {});
}

void apply_delta(std::span<const std::uint8_t> delta, std::span<std::uint8_t> bytes) {
    const bool well_formed =
        walk(delta, bytes.size(), [&](std::size_t offset, std::span<const std::uint8_t> run) {
            copy_bytes(run, bytes.data() + offset);
        });
    FMVM_CHECK(well_formed);
}

}  // namespace fmvm::lockstep
