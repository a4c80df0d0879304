// SPDX-License-Identifier: Apache-2.0
// Two disks, a guest that writes, connections that break and sides that die, at random: at every
// step the two maps must cover all that differs, and at the end nothing may differ.
#include <algorithm>
#include <catch2/catch.hpp>
#include <deque>
#include <filesystem>
#include <random>
#include <variant>

#include "base/little_endian.h"
#include "replay/resync/resync_source.h"
#include "replay/resync/resync_target.h"
#include "support/seeds.h"
#include "support/sync_watch.h"
#include "support/temp_file.h"

using namespace fmvm;
using namespace fmvm::replay;
using test::TempFile;

namespace {

using Random = std::mt19937_64;
// What a block holds, in short; 0 is a block of zeroes.
using Values = std::vector<std::uint64_t>;

constexpr std::uint64_t image_bytes = 20 * mib - 8 * kib;
const std::uint64_t block_count = disk_block_count(image_bytes);
const LabelId vm{42};

class ValueBlocks : public ImageBlocks {
  public:
    explicit ValueBlocks(Values& values) : values_(values) {}
    std::uint64_t image_bytes() const override { return ::image_bytes; }
    bool read_only() const override { return false; }
    Result<void> check_size() const override { return {}; }
    Result<void> sync() override { return {}; }
    Result<void> read(BlockIndex block, std::span<std::uint8_t> bytes) override {
        REQUIRE(bytes.size() == bytes_of_block(block, ::image_bytes));
        std::ranges::fill(bytes, std::uint8_t{0});
        store_le(bytes, 0, values_[block]);
        Random noise(values_[block]);
        // Some are worth compressing, some are not.
        for (std::size_t at = 8; values_[block] % 3 == 1 && at + 8 <= bytes.size(); at += 8)
            store_le(bytes, at, std::uint64_t{noise()});
        return {};
    }
    Result<void> write(BlockIndex block, std::span<const std::uint8_t> bytes) override {
        values_[block] = load_le<std::uint64_t>(bytes);
        return {};
    }

  private:
    Values& values_;
};

struct Side {
    TempFile unique;
    std::string path = unique.path() + ".fmvm";
    Values values = Values(block_count);
    Values synced = values;  // what a power loss leaves, at least
    ValueBlocks blocks{values};
    std::unique_ptr<DirtyBlockMap> map;

    Side() { open(); }
    ~Side() { std::filesystem::remove(path); }

    void open() {
        DiskLabel fresh;
        fresh.vm = vm;
        fresh.image_bytes = image_bytes;
        std::string why;
        map.reset();
        map = DirtyBlockMap::open(path, fresh, why).value();
        REQUIRE(why.empty());
    }
    // What was written since the last sync may be lost, and so may bits of the map.
    void lose_power(Random& random) {
        map.reset();
        for (BlockIndex block = 0; block < block_count; ++block) {
            if (random() % 2 != 0) values[block] = synced[block];
        }
        synced = values;
        {
            LabelFile file = LabelFile::open(path).value();
            for (std::uint64_t& word : file.blocks())
                word &= random();
            DiskLabel label = file.label();
            label.boot[0] ^= 1;
            REQUIRE(file.write(label).ok());
        }
        open();
    }
    void write(BlockIndex block, std::uint64_t value) {
        REQUIRE(map->mark(block * disk_block_bytes, 1).ok());
        values[block] = value;
        map->end_change(block * disk_block_bytes, 1, false);
    }
};

struct Write {
    BlockIndex block;
    std::uint64_t value;
};
using Message = std::variant<Write, KnownMessage, BeginMessage, ReadyMessage, ChunkDigestsMessage,
                             WantedMessage, BlocksMessage, DoneMessage>;

class World {
  public:
    explicit World(std::uint64_t seed) : random_(seed) {
        for (BlockIndex block = 0; block < block_count; ++block) {
            primary_->values[block] = random_() % 4;
            backup_->values[block] = random_() % 4;
        }
    }

    void run(unsigned steps) {
        for (unsigned i = 0; i < steps; ++i) {
            step(random_() % 1000);
            check();
        }
        settle();
    }

  private:
    void step(std::uint64_t dice) {
        if (dice < 150) return begin_write();
        if (dice < 300) return end_write();
        if (dice < 310) return prune(*primary_);
        if (dice < 320) return prune(*backup_);
        if (dice < 325) return disconnect();
        if (dice < 328) return kill_primary(false);
        if (dice < 330) return kill_primary(true);
        if (dice < 332) return kill_backup(false);
        if (dice < 334) return kill_backup(true);
        if (dice < 335) return take_over();
        if (dice < 336) return run_elsewhere();
        go_on();
    }

    // The guest.
    void begin_write() {
        const BlockIndex block = random_() % 8 != 0 ? random_() % 40 : random_() % block_count;
        const bool busy = std::ranges::any_of(
            in_flight_, [&](const Write& write) { return write.block == block; });
        if (busy || in_flight_.size() > 5) return;
        REQUIRE(primary_->map->mark(block * disk_block_bytes, 1).ok());
        in_flight_.push_back({block, random_() % 6});
    }
    void end_write() {
        if (in_flight_.empty()) return;
        const std::size_t position = random_() % in_flight_.size();
        const Write write = in_flight_[position];
        in_flight_.erase(in_flight_.begin() + static_cast<std::ptrdiff_t>(position));
        primary_->values[write.block] = write.value;
        primary_->map->end_change(write.block * disk_block_bytes, 1, false);
        const bool captured =
            !std::erase_if(uncaptured_, [&](BlockIndex block) { return block == write.block; });
        if (connected_ && captured) (epochs_ ? log_ : to_backup_).push_back(Message(write));
    }

    void prune(Side& side) {
        using Prune = DirtyBlockMap::Prune;
        const auto begun = side.map->begin_prune(random_() % 2 == 0 ? Prune::all : Prune::idle);
        if (!begun) return;
        side.synced = side.values;
        if (&side == primary_.get()) {
            begin_write();
            end_write();
        }
        side.map->end_prune(*begun, true);
    }

    // Connections and lives.
    void connect() {
        connected_ = true;
        for (const Write& write : in_flight_)
            uncaptured_.push_back(write.block);
        source_.emplace(0, *primary_->map, primary_->blocks);
        target_.emplace(0, DiskOwner{vm, 3}, *backup_->map, backup_->blocks, "backup");
        to_primary_.push_back(target_->known());
    }
    void disconnect() {
        connected_ = epochs_ = false;
        source_.reset();
        target_.reset();
        to_backup_.clear();
        to_primary_.clear();
        log_.clear();
        uncaptured_.clear();
    }
    void kill_primary(bool power) {
        disconnect();
        for (const Write& write : in_flight_) {
            if (random_() % 2 != 0) primary_->values[write.block] = write.value;
        }
        in_flight_.clear();
        power ? primary_->lose_power(random_) : primary_->open();
    }
    void kill_backup(bool power) {
        disconnect();
        power ? backup_->lose_power(random_) : backup_->open();
    }
    void take_over() {
        if (backup_->map->label().role != DiskRole::following) return;
        kill_primary(random_() % 2 != 0);
        std::swap(primary_, backup_);
        DiskLabel label = primary_->map->label();
        label.role = DiskRole::running;
        REQUIRE(primary_->map->set_label(label).ok());
    }
    void run_elsewhere() {
        kill_backup(false);
        REQUIRE(backup_->map->break_lineage(DiskRole::clean).ok());
        for (unsigned i = 0; i < 10; ++i)
            backup_->values[random_() % block_count] = random_();
    }

    // Progress, if there is any to be made.
    void go_on() {
        if (!connected_) return connect();
        if (epochs_) return random_() % 8 == 0 ? cut() : deliver(to_backup_);
        switch (random_() % 3) {
            case 0:
                if (!uncaptured_.empty()) return;
                if (auto digests = source_->next().value()) to_backup_.push_back(*digests);
                break;
            case 1:
                deliver(to_backup_);
                break;
            default:
                deliver(to_primary_);
        }
        if (source_->finished() && target_->finished()) begin_epochs();
    }
    void begin_epochs() {
        DiskLabel label = backup_->map->label();
        label.role = DiskRole::following;
        // What was mirrored so far comes with the first epoch, which the backup has before it may
        // take over.
        while (!to_backup_.empty())
            deliver(to_backup_);
        epochs_ = true;
        cut();
        if (connected_) REQUIRE(backup_->map->set_label(label).ok());
    }
    void cut() {
        const BlockRuns touched = primary_->map->take_touched();
        for (const Message& write : std::exchange(log_, {}))
            receive(std::get<Write>(write));
        const BlockRuns applied = backup_->map->take_touched();
        check();
        backup_->map->clear(applied);
        check();
        if (random_() % 10 == 0) return disconnect();  // the acknowledgement is lost
        primary_->map->clear(touched);
    }

    void deliver(std::deque<Message>& queue) {
        if (queue.empty()) return;
        // Answers need the source's disk; it waits for what is not captured.
        if (&queue == &to_primary_ && std::holds_alternative<WantedMessage>(queue.front()) &&
            !uncaptured_.empty()) {
            return;
        }
        const Message message = std::move(queue.front());
        queue.pop_front();
        std::visit([this](const auto& content) { receive(content); }, message);
    }
    template <typename T>
    static T through_wire(const T& message) {
        return T::decode(message.encode()).value();
    }
    void receive(const Write& write) { backup_->write(write.block, write.value); }
    void receive(const KnownMessage& known) {
        to_backup_.push_back(source_->begin(through_wire(known)).value());
    }
    void receive(const BeginMessage& begin) {
        to_primary_.push_back(target_->on_begin(through_wire(begin)).value());
    }
    void receive(const ReadyMessage& ready) {
        REQUIRE(source_->on_ready(through_wire(ready)).ok());
    }
    void receive(const ChunkDigestsMessage& digests) {
        std::visit([this](const auto& answer) { to_primary_.push_back(answer); },
                   target_->on_digests(through_wire(digests)).value());
    }
    void receive(const WantedMessage& wanted) {
        for (BlocksMessage& blocks : source_->on_wanted(through_wire(wanted)).value())
            to_backup_.push_back(std::move(blocks));
    }
    void receive(const BlocksMessage& blocks) {
        if (auto done = target_->on_blocks(through_wire(blocks)).value())
            to_primary_.push_back(*done);
    }
    void receive(const DoneMessage& done) { REQUIRE(source_->on_done(through_wire(done)).ok()); }

    // The union of the maps covers what differs, as long as the labels say that they are a pair.
    void check() {
        const DiskLabel label = primary_->map->label();
        if (!label.is_paired_by(backup_->map->label().pair)) return;
        BlockSet covered = primary_->map->dirty();
        covered.merge(backup_->map->dirty());
        for (BlockIndex block = 0; block < block_count; ++block) {
            if (primary_->values[block] != backup_->values[block]) REQUIRE(covered.contains(block));
        }
    }
    void settle() {
        while (!in_flight_.empty())
            end_write();
        for (unsigned i = 0; !epochs_ && i < 10'000; ++i) {
            go_on();
            check();
        }
        for (unsigned i = 0; i < 1000 && primary_->map->dirty().size() != 0; ++i) {
            if (!connected_ || !epochs_) {
                go_on();
            } else {
                cut();
            }
        }
        CHECK(primary_->values == backup_->values);
        CHECK(primary_->map->dirty().size() == 0);
        CHECK(backup_->map->dirty().size() == 0);
    }

    Random random_;
    std::unique_ptr<Side> primary_ = std::make_unique<Side>();
    std::unique_ptr<Side> backup_ = std::make_unique<Side>();
    std::vector<Write> in_flight_;
    std::vector<BlockIndex> uncaptured_;
    bool connected_ = false;
    bool epochs_ = false;
    std::optional<ResyncSource> source_;
    std::optional<ResyncTarget> target_;
    std::deque<Message> to_backup_, to_primary_, log_;
};

}  // namespace

TEST_CASE("disks become equal whatever breaks, and the maps always cover what differs") {
    const test::SyncWatch fast([](int) { return 0; });
    for (std::uint64_t seed = 0; seed < test::seeds_in_this_build(40); ++seed) {
        INFO("seed " << seed);
        World(seed).run(3000);
    }
}
