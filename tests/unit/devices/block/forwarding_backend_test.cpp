// SPDX-License-Identifier: Apache-2.0
#include "devices/block/forwarding_backend.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

using namespace fmvm;
using namespace std::chrono_literals;

namespace {

using Calls = std::vector<std::string>;

// Notes what is called.
class ProbeBackend : public BlockBackend {
  public:
    explicit ProbeBackend(Calls& calls) : calls_(calls) {}
    ~ProbeBackend() override { calls_.emplace_back("destroyed"); }

    std::uint64_t capacity() const override { return 77 * 4096; }
    std::uint32_t block_size() const override { return 4096; }
    bool read_only() const override { return true; }
    void submit(BlockOperation&) override { calls_.emplace_back("submit"); }
    void flush_submissions() override { calls_.emplace_back("flush_submissions"); }
    bool poll_completions() override {
        calls_.emplace_back("poll_completions");
        return true;
    }
    void wait_for_completion(std::chrono::milliseconds limit) override {
        calls_.push_back("wait_for_completion " + std::to_string(limit.count()));
    }
    void withdraw() override { calls_.emplace_back("withdraw"); }

  private:
    Calls& calls_;
};

class Decorator : public ForwardingBackend {
  public:
    Decorator(std::unique_ptr<BlockBackend> inner, Calls& calls)
        : ForwardingBackend(std::move(inner)), calls_(calls) {}
    ~Decorator() override {
        destroy_inner();
        calls_.emplace_back("decorator destroyed");
    }
    void submit(BlockOperation& operation) override { inner().submit(operation); }

  private:
    Calls& calls_;
};

}  // namespace

TEST_CASE("forwarding backend: every call gets to the inner backend") {
    Calls calls;
    {
        Decorator decorator(std::make_unique<ProbeBackend>(calls), calls);
        BlockBackend& backend = decorator;
        CHECK(backend.capacity() == 77 * 4096);
        CHECK(backend.block_size() == 4096);
        CHECK(backend.read_only());
        BlockOperation operation;
        backend.submit(operation);
        backend.flush_submissions();
        CHECK(backend.poll_completions());
        backend.wait_for_completion(5ms);
        backend.withdraw();
    }
    CHECK(calls == Calls{"submit", "flush_submissions", "poll_completions", "wait_for_completion 5",
                         "withdraw", "destroyed", "decorator destroyed"});
}
