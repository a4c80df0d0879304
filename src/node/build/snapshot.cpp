// SPDX-License-Identifier: Apache-2.0
#include "node/build/snapshot.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "base/file_io.h"
#include "base/log.h"
#include "base/open_file.h"
#include "base/unfinished_directory.h"
#include "vmm/memory/ram_file.h"

namespace fmvm::node {

namespace {

constexpr std::string_view ram_section = "ram";
constexpr std::uint32_t ram_version = 1;
constexpr std::string_view disks_section = "disks";
constexpr std::uint32_t disks_version = 1;
constexpr std::uint64_t state_bytes_max = 64 * mib;

Result<std::vector<std::uint8_t>> save_disks(const GuestDisks& disks, AfterSnapshot after) {
    const DiskFuture future =
        after == AfterSnapshot::stop ? DiskFuture::stays : DiskFuture::goes_on;
    std::vector<DiskState> states;
    for (std::size_t i = 0; i < disks.options.size(); ++i) {
        const auto is_changing = [device = disks.devices[i]](std::uint64_t offset,
                                                             std::uint64_t length) {
            return device->is_changing(offset, length);
        };
        states.push_back(
            FMVM_TRY(take_disk_state(disks.options[i], i, *disks.images[i], is_changing, future)));
    }
    return encode_disk_states(states);
}

Result<void> write_snapshot(Machine& machine, const GuestDisks& disks, const std::string& directory,
                            AfterSnapshot after) {
    UnfinishedDirectory unfinished = FMVM_TRY(UnfinishedDirectory::make(directory));
    const int ram = FMVM_TRY(unfinished.create_file("ram"));
    const int state = FMVM_TRY(unfinished.create_file("state"));

    std::optional<QuiesceGuard> guard(std::in_place, machine);
    StateImage image = FMVM_TRY(machine.save());
    ByteWriter about_ram;
    about_ram.u64(machine.memory().total_bytes());
    about_ram.u64(FMVM_TRY(write_ram_file(machine.memory(), ram)));
    image.add(disks_section, disks_version, FMVM_TRY(save_disks(disks, after)));
    // Who goes on need not wait for the disk. Who is to stop goes on only if the snapshot fails.
    if (after == AfterSnapshot::go_on) guard.reset();
    image.add(ram_section, ram_version, about_ram.take());
    const std::vector<std::uint8_t> encoded = image.encode();
    if (const int failure = write_all(state, std::as_bytes(std::span(encoded))); failure != 0)
        return errno_error(failure, "the state cannot be written");
    FMVM_TRY(unfinished.rename_into_place());
    // From here on another process may go on with the guest, so this one must not.
    if (after == AfterSnapshot::stop) machine.request_end(GuestEnd::stopped);
    return unfinished.make_name_durable();
}

Result<std::vector<std::uint8_t>> read_state(const std::string& path) {
    const RegularFile file = FMVM_TRY(open_regular_file(path));
    if (file.size > state_bytes_max) return Error("is not a state image of fmvm");
    std::vector<std::uint8_t> bytes(file.size);
    std::size_t size = 0;
    if (const int failure =
            read_up_to(file.fd.get(), std::as_writable_bytes(std::span(bytes)), size);
        failure != 0)
        return errno_error(failure, "cannot be read");
    bytes.resize(size);
    return bytes;
}

Result<std::optional<std::vector<DiskState>>> take_disks(StateImage& image) {
    const StateSection section = image.take(disks_section);
    if (section.name.empty()) return std::optional<std::vector<DiskState>>();
    if (section.version != disks_version)
        return Error(
            "what its state says about disks is of a version that this fmvm does not read");
    return std::optional(FMVM_TRY(decode_disk_states(section.payload)));
}

Result<Snapshot> read_snapshot(const std::string& directory) {
    Snapshot snapshot;
    snapshot.directory = directory;
    const std::vector<std::uint8_t> state =
        FMVM_TRY(about("its file `state`", read_state(directory + "/state")));
    snapshot.state = FMVM_TRY(StateImage::decode(state));
    snapshot.size = FMVM_TRY(machine_size(snapshot.state));
    const StateSection about_ram = snapshot.state.take(ram_section);
    ByteReader in(about_ram.payload);
    const std::uint64_t ram_bytes = in.u64();
    snapshot.ram_digest = in.u64();
    if (about_ram.version != ram_version || !in.done() || ram_bytes != snapshot.size.memory_bytes) {
        return Error("what its state says about guest memory is malformed");
    }
    snapshot.disks = FMVM_TRY(take_disks(snapshot.state));
    snapshot.ram = FMVM_TRY(about("its file `ram`", open_regular_file(directory + "/ram"))).fd;
    return snapshot;
}

Result<void> restore_into(const Snapshot& snapshot, Machine& machine,
                          std::chrono::nanoseconds passed) {
    FMVM_TRY(read_ram_file(machine.memory(), snapshot.ram.get(), snapshot.ram_digest));
    return machine.restore(snapshot.state, passed);
}

Error in_snapshot(const std::string& directory, const Error& error) {
    return error.about("snapshot " + directory);
}

}  // namespace

Result<void> take_snapshot(Machine& machine, const GuestDisks& disks, const std::string& directory,
                           AfterSnapshot after) {
    const Result<void> written = write_snapshot(machine, disks, directory, after);
    if (!written.ok()) return in_snapshot(directory, written.error());
    return {};
}

Result<Snapshot> open_snapshot(const std::string& directory) {
    Result<Snapshot> snapshot = read_snapshot(directory);
    if (!snapshot.ok()) return in_snapshot(directory, snapshot.error());
    return snapshot;
}

Result<void> check_disks(const Snapshot& snapshot, const std::vector<DiskOptions>& disks,
                         const std::vector<const DiskImage*>& images) {
    if (!snapshot.disks) {
        if (!disks.empty()) {
            log::warning("run",
                         "snapshot {}: was taken by an older fmvm, and does not tell whether the "
                         "disks are as they were",
                         snapshot.directory);
        }
        return {};
    }
    const std::size_t count = std::min(disks.size(), snapshot.disks->size());
    for (std::size_t i = 0; i < count; ++i) {
        const Result<void> same = check_disk_state((*snapshot.disks)[i], disks[i], *images[i]);
        if (!same.ok()) return in_snapshot(snapshot.directory, same.error());
    }
    return {};
}

// A clock that has been set back since says nothing.
Result<std::chrono::nanoseconds> snapshot_age(const Snapshot& snapshot) {
    const ClockState clocks = FMVM_TRY(saved_clocks(snapshot.state));
    const auto taken = std::chrono::nanoseconds(clocks.realtime_ns);
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    if (taken.count() >= 0 && taken <= now) return now - taken;
    return in_snapshot(snapshot.directory,
                       Error("was taken at a time that is still to come by this host's clock; set "
                             "that, or give --guest-time saved"));
}

Result<void> restore_snapshot(const Snapshot& snapshot, Machine& machine,
                              std::chrono::nanoseconds passed) {
    const Result<void> restored = restore_into(snapshot, machine, passed);
    if (!restored.ok()) return in_snapshot(snapshot.directory, restored.error());
    return {};
}

}  // namespace fmvm::node
