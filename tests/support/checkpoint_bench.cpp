// SPDX-License-Identifier: Apache-2.0
#include "support/checkpoint_bench.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "base/digest.h"

namespace fmvm::test {

using namespace lockstep;

Result<void> FakeDirtyLog::start() {
    started_ = true;
    logged_.insert_all();
    watched_.clear();
    return {};
}

Result<void> FakeDirtyLog::stop() {
    started_ = false;
    return {};
}

Result<void> FakeDirtyLog::collect(PageSet& pages) {
    pages.merge(logged_);
    return {};
}

Result<void> FakeDirtyLog::watch(const PageSet& pages) {
    logged_.subtract(pages);
    watched_.merge(pages);
    if (after_watch_) after_watch_();
    return {};
}

void FakeDirtyLog::written(PageIndex page) {
    if (!started_ || !watched_.contains(page)) return;
    watched_.erase(page);
    logged_.insert(page);
}

Result<StateImage> FakeMachine::save() {
    FMVM_CHECK(stands());
    StateImage image;
    image.add("counter", 1, {++saved_});
    return image;
}

class CheckpointBench::PlainRam : public ShadowRam {
  public:
    explicit PlainRam(std::uint64_t pages) : bytes(pages * page_size) {}
    std::uint64_t page_count() const override { return bytes.size() / page_size; }
    std::span<std::uint8_t, page_size> page(PageIndex index) override {
        return std::span<std::uint8_t, page_size>(bytes.data() + index * page_size, page_size);
    }
    Ram bytes;
};

class CheckpointBench::NoConsole : public OutputSink {
  public:
    void write(std::span<const std::uint8_t>) override {}
    bool has_room() const override { return true; }
    std::uint64_t unwritten() const override { return 0; }
    std::vector<std::uint8_t> unwritten_bytes() const override { return {}; }
    void on_room(std::function<void()>) override {}
};

CheckpointBench::CheckpointBench(const Options& options)
    : machine(options.pages),
      log(options.pages),
      pages_(options.pages),
      random_(options.seed),
      console_(std::make_unique<NoConsole>()),
      gate_(std::make_unique<ConsoleGate>(*console_)),
      checkpointer(Checkpointer::create(machine, log, *gate_, options.gates,
                                        options.disks != nullptr ? *options.disks : no_disks_,
                                        options.checkpointer)
                       .value()) {
    log.after_watch([this] {
        if (one_in(2)) live();
    });
}

CheckpointBench::~CheckpointBench() = default;

CheckpointBench::Ram CheckpointBench::ram_of_machine() {
    Ram ram;
    ram.reserve(pages_ * page_size);
    for (PageIndex index = 0; index < pages_; ++index) {
        const auto page = machine.memory().page(index);
        ram.insert(ram.end(), page.begin(), page.end());
    }
    return ram;
}

void CheckpointBench::change(std::span<std::uint8_t, page_size> page) {
    switch (below(8)) {
        case 0:
            std::ranges::fill(page, std::uint8_t{0});
            break;
        case 1:
            fill(page);
            break;
        case 2:
            break;  // what is there already
        default:
            page[below(page_size)] = static_cast<std::uint8_t>(random_());
    }
}

void CheckpointBench::fill(std::span<std::uint8_t, page_size> page) {
    std::ranges::generate(page, [this] { return static_cast<std::uint8_t>(random_()); });
}

void CheckpointBench::guest_fills(PageIndex first, std::uint64_t count) {
    FMVM_CHECK(!machine.stands());
    for (PageIndex page = first; page < first + count; ++page) {
        log.written(page);
        fill(machine.memory().page(page));
    }
}

void CheckpointBench::guest_writes(PageIndex page) {
    FMVM_CHECK(!machine.stands());
    log.written(page);
    change(machine.memory().page(page));
}

void CheckpointBench::vmm_writes(PageIndex page) {
    FMVM_CHECK(!machine.stands());
    change(machine.memory().page(page));
    machine.memory().mark_dirty(GuestAddress(std::uint64_t{page} * page_size), page_size);
}

void CheckpointBench::write_some() {
    const std::uint64_t hot = pages_ / 16;
    const std::uint64_t most = one_in(8) ? pages_ : pages_ / 8;
    for (std::uint64_t count = below(most); count != 0; --count) {
        const auto page = static_cast<PageIndex>(below(one_in(3) ? pages_ : hot));
        one_in(6) ? vmm_writes(page) : guest_writes(page);
    }
}

void CheckpointBench::live() {
    if (lively && !machine.stands()) write_some();
}

void CheckpointBench::begin() {
    shadow_ram_ = std::make_unique<PlainRam>(pages_);
    shadow_.emplace(*shadow_ram_);
    epoch_ = 0;
    REQUIRE(checkpointer->begin().ok());
}

void CheckpointBench::copy_initially() {
    while (true) {
        OutgoingMessage piece = checkpointer->next_initial().value();
        if (piece.empty()) return;
        queue(piece.type, std::move(piece.body));
        live();
    }
}

void CheckpointBench::protect() {
    begin();
    copy_initially();
    epoch();
}

void CheckpointBench::cut() {
    ram_at_cut_ = ram_of_machine();
    digest_ = 0;
    REQUIRE(checkpointer->cut(++epoch_, false).ok());
}

bool CheckpointBench::send_pages() {
    OutgoingMessage piece = checkpointer->next_message();
    if (piece.empty()) return false;
    queue(piece.type, std::move(piece.body));
    live();
    return true;
}

void CheckpointBench::queue(FrameType type, GatheredBody body) {
    digest_ = chain_digest(digest_, body.digest());
    on_its_way_.push_back({type, std::move(body), std::nullopt, {}});
}

void CheckpointBench::finish_epoch() {
    CHECK_FALSE(machine.stands());
    queue(FrameType::state,
          StateMessage{epoch_, StateEncoding::whole, checkpointer->state()}.encode());
    if (!checkpointer->digests().empty())
        queue(FrameType::digests, DigestsMessage{epoch_, 0, checkpointer->digests()}.encode());
    CommitMessage commit;
    commit.epoch = epoch_;
    commit.page_records = checkpointer->counts().records;
    commit.digest = digest_;
    commit.output_end = checkpointer->output().position;
    on_its_way_.push_back({FrameType::commit, {}, commit, std::move(ram_at_cut_)});
}

void CheckpointBench::epoch() {
    cut();
    while (send_pages()) {
    }
    finish_epoch();
}

void CheckpointBench::deliver(std::size_t count) {
    for (; count != 0 && !on_its_way_.empty(); --count) {
        const Message message = std::move(on_its_way_.front());
        on_its_way_.pop_front();
        const std::vector<std::uint8_t> bytes = message.body.flat();
        Frame frame{message.type, Buffer(bytes.begin(), bytes.end()), digest_of(bytes)};
        if (message.commit) {
            deliver_commit(message);
        } else if (message.type == FrameType::pages) {
            REQUIRE(shadow_->stage_pages(std::move(frame)).ok());
        } else if (message.type == FrameType::state) {
            REQUIRE(shadow_->stage_state(frame, {}).ok());
        } else {
            REQUIRE(shadow_->stage_digests(frame).ok());
        }
    }
}

void CheckpointBench::deliver_commit(const Message& message) {
    REQUIRE(shadow_->commit(*message.commit).ok());
    REQUIRE(shadow_->apply().ok());
    const auto differs = std::ranges::mismatch(shadow_ram_->bytes, message.ram_at_cut);
    INFO("epoch " << message.commit->epoch
                  << ", first byte that differs: " << differs.in1 - shadow_ram_->bytes.begin());
    REQUIRE((shadow_ram_->bytes == message.ram_at_cut));
    checkpointer->committed(message.commit->epoch);
    ++commits_;
}

void CheckpointBench::lose_connection() {
    checkpointer->end();
    CHECK_FALSE(machine.stands());
    on_its_way_.clear();
    shadow_.reset();
}

}  // namespace fmvm::test
