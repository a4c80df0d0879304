// SPDX-License-Identifier: Apache-2.0
#include "node/run/recording.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/digest.h"
#include "replay/image/image_blocks.h"

namespace fmvm::node {

namespace {

// Blocks of 64 KiB, spread evenly, of each image.
constexpr std::uint64_t samples_max = 64;
constexpr std::chrono::seconds settle_max{2};
constexpr std::chrono::milliseconds settle_look{2};

Result<void> sample_image(const DiskImage& image, const std::string& path, std::uint8_t number,
                          std::vector<replay::LoggedRequest>& reads) {
    const auto blocks = replay::open_image_blocks(image, path);
    const std::uint64_t count = replay::disk_block_count(image.size);
    const std::uint64_t samples = std::min(count, samples_max);
    std::vector<std::uint8_t> bytes;
    for (std::uint64_t sample = 0; sample < samples; ++sample) {
        const replay::BlockIndex block =
            sample == 0 ? 0 : sample * (count - 1) / (samples - 1);  // the last one, too
        bytes.resize(replay::bytes_of_block(block, image.size));
        FMVM_TRY(blocks->read(block, bytes));
        replay::LoggedRequest read;
        read.disk = number;
        read.offset = block * replay::disk_block_bytes;
        read.length = bytes.size();
        for (std::size_t at = 0; at + page_size <= bytes.size(); at += page_size)
            read.filled.push_back({0, at, digest_of(std::span(bytes).subspan(at, page_size))});
        reads.push_back(std::move(read));
    }
    return {};
}

}  // namespace

Result<void> begin_recording(const BuiltMachine& built, const MachineOptions& options,
                             const lockstep::VmId& vm, lockstep::Generation generation) {
    if (built.recorder == nullptr) return {};
    replay::EpochLogHeader header;
    header.vm = vm;
    std::vector<replay::LoggedRequest> reads;
    for (std::size_t i = 0; i < built.disks.size(); ++i) {
        const DiskImage& image = *built.disks[i];
        header.disks.push_back({image.size, image.block_size, image.read_only});
        FMVM_TRY(sample_image(image, options.disks[i].path, static_cast<std::uint8_t>(i), reads));
    }
    return built.recorder->begin(options.record, header, generation, reads);
}

void end_recording(const BuiltMachine& built, Uncommitted uncommitted) {
    if (built.recorder == nullptr) return;
    const auto deadline = std::chrono::steady_clock::now() + settle_max;
    while (!built.block_log->is_idle() && std::chrono::steady_clock::now() < deadline)
        std::this_thread::sleep_for(settle_look);
    if (uncommitted == Uncommitted::counts) built.recorder->commit_all();
    built.recorder->end();
}

}  // namespace fmvm::node
