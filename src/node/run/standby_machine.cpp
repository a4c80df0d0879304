// SPDX-License-Identifier: Apache-2.0
#include "node/run/standby_machine.h"

#include "base/log.h"
#include "node/run/output_guard.h"

namespace fmvm::node {

namespace {

constexpr std::chrono::seconds disk_patience{1};

}  // namespace

StandbyMachine::StandbyMachine(BuiltMachine built, Terms terms, const lockstep::HelloMessage& hello,
                               std::shared_ptr<lockstep::PairPermit> pair, Accept accept,
                               boost::asio::io_context& control)
    : built_(std::move(built)),
      terms_(std::move(terms)),
      vm_(hello.vm),
      pair_(std::move(pair)),
      generation_(std::make_shared<std::atomic<lockstep::Generation>>(hello.generation)),
      accept_(std::move(accept)),
      ram_(built_.machine->memory()),
      waiting_(disk_patience) {
    built_.machine->on_end(tell_on(control, ending_));
    if (!built_.own_disks.empty()) make_own_disks(hello);
}

void StandbyMachine::make_own_disks(const lockstep::HelloMessage& hello) {
    std::vector<lockstep::StandbyDisks::Disk> disks;
    for (const OwnDisk& disk : built_.own_disks) {
        disks.push_back({disk.path, disk.backend, disk.map,
                         replay::open_image_blocks(*disk.image, disk.path),
                         hello.origin_of(disks.size()), terms_.discard_disks});
    }
    own_disks_ = std::make_unique<lockstep::StandbyDisks>(built_.machine->memory(),
                                                          std::move(disks), vm_, hello.generation);
}

Result<void> StandbyMachine::check(std::span<const std::uint8_t> state) {
    const StateImage image = FMVM_TRY(StateImage::decode(state));
    const Result<void> fits = built_.machine->check(image);
    if (!fits.ok()) {
        return make_error("the guest cannot run on the backup's host: {}", fits.error().message());
    }
    return {};
}

Result<bool> StandbyMachine::take_disks(lockstep::Generation generation) {
    if (!own_disks_) return lock_disks();
    const bool taken = FMVM_TRY(own_disks_->take_over(generation));
    if (!taken)
        tell_waiting(terms_.disks.front().path, "what was replayed is still being made durable");
    return taken;
}

Result<void> StandbyMachine::run(const lockstep::Shadow& shadow, lockstep::Generation generation,
                                 std::shared_ptr<lockstep::Arbiter> arbiter,
                                 lockstep::BootTime speak_from) {
    const StateImage image = FMVM_TRY(StateImage::decode(shadow.state()));
    // The time that the guest missed is measured by this host's clock alone, so that it is never
    // more than really passed.
    FMVM_TRY(
        built_.machine->restore(image, std::chrono::steady_clock::now() - shadow.state_received()));
    *generation_ = generation;
    guard_output(built_, {.arbiter = std::move(arbiter),
                          .generation = [current = generation_] { return current->load(); },
                          .pair = pair_,
                          .speak_from = speak_from,
                          .lost_after = terms_.lost_after});
    if (const auto lasted = waiting_.over(std::chrono::steady_clock::now()))
        log::notice("backup", "the disks are free after {}", *lasted);
    built_.gate->begin_at(shadow.tail().position);
    built_.gate->write(shadow.tail().bytes);
    plug_cards_in(shadow.packets());
    built_.machine->start();
    stood_ = std::chrono::steady_clock::now() - shadow.state_received();
    return {};
}

// From here on the guest is at this port. First it gets what was sent to it at the other one, and
// is not in the state that it goes on from.
void StandbyMachine::plug_cards_in(const lockstep::PacketsAhead& packets) {
    for (std::size_t i = 0; i < built_.nets.size(); ++i) {
        const NetCard& card = built_.nets[i];
        for (const auto packet : packets.of(i, card.device->position()))
            card.device->give(packet);
        card.backend->plug(true);
        card.announcer->begin();
        built_.machine->loop().post([device = card.device] { device->announce(); });
    }
}

// A dead primary's lock goes with its last I/O. That of a frozen one goes when it wakes up, finds
// itself superseded and ends, or when it is killed. This side waits however long that takes: nobody
// else may run this guest any more, and what is here is the only copy of it.
Result<bool> StandbyMachine::lock_disks() {
    for (; disks_locked_ < built_.disks.size(); ++disks_locked_) {
        const std::string& path = terms_.disks[disks_locked_].path;
        Result<bool> locked = built_.disks[disks_locked_]->try_lock();
        if (locked.ok() && *locked) continue;
        tell_waiting(path, locked.ok()
                               ? "another process still has it, a frozen primary perhaps; the "
                                 "guest waits until that one wakes up or is killed"
                               : locked.error().message() + "; the guest waits for that");
        return false;
    }
    return true;
}

void StandbyMachine::tell_waiting(const std::string& disk, const std::string& why) {
    const auto told =
        waiting_.is(fmt::format("disk {}: {}", disk, why), std::chrono::steady_clock::now());
    if (told) log::warning("backup", "{}", *told);
}

}  // namespace fmvm::node
