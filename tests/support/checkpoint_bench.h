// SPDX-License-Identifier: Apache-2.0
// A Checkpointer on the workbench: a machine without KVM, whose guest and VMM write pages when the
// test says so, and a real Shadow at the other end of a connection that delivers when the test says
// so. After each commit the shadow's RAM must be what the machine's was at that cut.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "lockstep/backup/shadow.h"
#include "lockstep/checkpoint/checkpointer.h"
#include "lockstep/disks/no_disks.h"
#include "support/guest_ram.h"
#include "vmm/machine/checkpointed_machine.h"

namespace fmvm::test {

// As KVM's bitmap: a page is logged when it is first written after it was watched; unless it is
// watched anew it stays logged.
class FakeDirtyLog : public DirtyLog {
  public:
    explicit FakeDirtyLog(std::uint64_t pages) : logged_(pages), watched_(pages) {}

    Result<void> add_vcpu(Vcpu&) override { return {}; }
    Result<void> start() override;
    Result<void> stop() override;
    Result<void> collect(PageSet& pages) override;
    Result<void> watch(const PageSet& pages) override;

    // The guest has written to the page.
    void written(PageIndex page);
    // Called at the end of every watch(): what a guest that runs may do between that and the copy.
    void after_watch(std::function<void()> hook) { after_watch_ = std::move(hook); }

  private:
    PageSet logged_;
    PageSet watched_;
    bool started_ = false;
    std::function<void()> after_watch_;
};

class FakeMachine : public CheckpointedMachine {
  public:
    explicit FakeMachine(std::uint64_t pages) : ram_(pages * page_size) {}

    GuestMemory& memory() override { return ram_.memory(); }
    // A section that counts how often it was saved.
    Result<StateImage> save() override;
    PageSet unsettled_pages() const override { return PageSet(ram_.memory().page_count()); }
    void take_last_requests() override { ++last_requests_taken; }
    void set_vcpus_first(bool first) override { vcpus_first = first; }
    unsigned last_requests_taken = 0;
    bool vcpus_first = false;

    bool stands() const { return guards_ != 0; }

  private:
    void stand_still() override { ++guards_; }
    void run_on() override { --guards_; }

    mutable GuestRam ram_;
    unsigned guards_ = 0;
    std::uint8_t saved_ = 0;
};

class CheckpointBench {
  public:
    struct Options {
        std::uint64_t seed = 1;
        std::uint64_t pages = 320;
        lockstep::CheckpointerOptions checkpointer;
        lockstep::PrimaryDisks* disks = nullptr;
        std::vector<lockstep::EpochGate*> gates;
    };
    explicit CheckpointBench(const Options& options);

    // The guest writes a page, or the VMM on its behalf: a few bytes, all of it, zeroes, or what is
    // there already. Only while the machine runs.
    void guest_writes(PageIndex page);
    void vmm_writes(PageIndex page);
    // The guest fills these pages with noise, so that they travel whole: 120 of them fill a body.
    void guest_fills(PageIndex first, std::uint64_t count);
    // Either, on some pages, most of them among a few that are written all the time.
    void write_some();

    // Begins, sends the initial copy while the guest writes, and commits the first epoch.
    void protect();
    void begin();
    void copy_initially();
    // A cut; its messages are queued by send_pages() and finish_epoch().
    void cut();
    // The next body of pages; false when there is none left. The guest writes in between.
    bool send_pages();
    void finish_epoch();
    void epoch();

    // Delivers up to so many messages of those on their way.
    void deliver(std::size_t count);
    void deliver_all() { deliver(SIZE_MAX); }
    // The connection is lost: what is on its way is, too.
    void lose_connection();

    std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
    bool one_in(std::uint64_t n) { return below(n) == 0; }
    std::uint64_t pages() const { return pages_; }
    std::size_t commits() const { return commits_; }  // that were delivered and compared

    FakeMachine machine;
    FakeDirtyLog log;
    bool lively = true;  // pages are written in between, too: while the copy or an epoch is sent

  private:
    using Ram = std::vector<std::uint8_t>;
    class PlainRam;
    // A message on its way; with `commit` that, and the RAM which it stands for.
    struct Message {
        lockstep::FrameType type;
        lockstep::GatheredBody body;
        std::optional<lockstep::CommitMessage> commit;
        Ram ram_at_cut;
    };
    class NoConsole;

    Ram ram_of_machine();
    void live();
    void change(std::span<std::uint8_t, page_size> page);
    void fill(std::span<std::uint8_t, page_size> page);
    void queue(lockstep::FrameType type, lockstep::GatheredBody body);
    void deliver_commit(const Message& message);

    lockstep::NoDisks no_disks_;
    const std::uint64_t pages_;
    std::mt19937_64 random_;
    std::unique_ptr<NoConsole> console_;
    std::unique_ptr<lockstep::ConsoleGate> gate_;
    std::unique_ptr<PlainRam> shadow_ram_;
    std::optional<lockstep::Shadow> shadow_;
    std::deque<Message> on_its_way_;
    lockstep::EpochId epoch_ = 0;
    std::uint64_t digest_ = 0;
    Ram ram_at_cut_;
    std::size_t commits_ = 0;

  public:
    std::unique_ptr<lockstep::Checkpointer> checkpointer;
    ~CheckpointBench();
};

}  // namespace fmvm::test
