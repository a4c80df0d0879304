// SPDX-License-Identifier: Apache-2.0
#include "node/build/snapshot.h"

#include <chrono>
#include <optional>

#include "base/file_io.h"
#include "base/open_file.h"
#include "base/unfinished_directory.h"
#include "vmm/memory/ram_file.h"

namespace fmvm::node {

namespace {

constexpr std::string_view ram_section = "ram";
constexpr std::uint32_t ram_version = 1;
constexpr std::uint64_t state_bytes_max = 64 * mib;

Result<void> write_snapshot(Machine& machine, const std::string& directory, AfterSnapshot after) {
    UnfinishedDirectory unfinished = FMVM_TRY(UnfinishedDirectory::make(directory));
    const int ram = FMVM_TRY(unfinished.create_file("ram"));
    const int state = FMVM_TRY(unfinished.create_file("state"));

    std::optional<QuiesceGuard> guard(std::in_place, machine);
    StateImage image = FMVM_TRY(machine.save());
    ByteWriter about_ram;
    about_ram.u64(machine.memory().total_bytes());
    about_ram.u64(FMVM_TRY(write_ram_file(machine.memory(), ram)));
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
    snapshot.ram =
        FMVM_TRY(about("its file `ram`", open_regular_file(directory + "/ram"))).fd;
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

Result<void> take_snapshot(Machine& machine, const std::string& directory, AfterSnapshot after) {
    const Result<void> written = write_snapshot(machine, directory, after);
    if (!written.ok()) return in_snapshot(directory, written.error());
    return {};
}

Result<Snapshot> open_snapshot(const std::string& directory) {
    Result<Snapshot> snapshot = read_snapshot(directory);
    if (!snapshot.ok()) return in_snapshot(directory, snapshot.error());
    return snapshot;
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
