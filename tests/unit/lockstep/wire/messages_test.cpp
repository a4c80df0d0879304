// SPDX-License-Identifier: Apache-2.0
#include "lockstep/wire/messages.h"

#include <catch2/catch.hpp>

#include "support/wire_form.h"
#include "vmm/board/layout.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;

namespace {

// What every message must stand: it comes back the same, and nothing shorter or longer is taken.
template <typename Message>
Message check_round_trip(const Message& message) {
    const Body body = message.encode();
    REQUIRE(body.size() <= frame_body_max);
    for (std::size_t length = 0; length < body.size(); ++length) {
        if (Message::decode(std::span(body).first(length)).ok()) FAIL("taken at " << length);
    }
    Body longer = body;
    longer.push_back(0);
    CHECK_FALSE(Message::decode(longer).ok());
    Result<Message> decoded = Message::decode(body);
    REQUIRE(decoded.ok());
    CHECK(decoded.value().encode() == body);
    return std::move(decoded).value();
}

template <typename Message>
bool is_refused(const Message& message) {
    return !Message::decode(message.encode()).ok();
}

HelloMessage make_hello() {
    HelloMessage hello;
    for (std::size_t i = 0; i < hello.vm.size(); ++i)
        hello.vm[i] = static_cast<std::uint8_t>(i * 17);
    hello.generation = 7;
    hello.shape.memory_bytes = 64 * mib;
    hello.shape.vcpus = 2;
    hello.shape.disks = {{1 * gib, 512, false, "root"}, {1 * mib, 4096, true, ""}};
    hello.shape.nets = {{{2, 0, 0, 0, 0, 1}, 1500, 0x130010020}};
    hello.shape.cpuid.resize(3);
    hello.shape.cpuid[1].function = 0x80000001;
    hello.shape.cpuid[1].edx = 0xdeadbeef;
    hello.heartbeat_ms = 100;
    hello.lost_after_ms = 1000;
    hello.interval_ms = 50;
    return hello;
}

}  // namespace

TEST_CASE("messages keep their form on the wire", "[protocol]") {
    HelloMessage hello = make_hello();
    hello.shape.cpuid.erase(hello.shape.cpuid.begin());
    hello.shape.cpuid.resize(1);
    hello.block = BlockMode::copy;
    hello.durable = true;
    check_wire_form(hello,
                    "00112233445566778899aabbccddeeff 0700000000000000"  // VM, generation
                    "0000000400000000 02000000"                          // memory, vCPUs
                    "02000000"                                           // disks
                    "0000004000000000 00020000 00 04000000726f6f74"
                    "0000100000000000 00100000 01 00000000"
                    "01000000"                            // network cards
                    "020000000001 dc05 2000013001000000"  // address, MTU, features
                    "01000000 28000000"                   // CPUID entries, each with its size
                    "01000080 00000000 00000000 00000000 00000000"
                    "00000000 efbeadde 00000000 00000000 00000000"
                    "64000000 e8030000 32000000 03 01"  // times, block mode, durable
                    "00000000");                        // origins
    check_wire_form(WelcomeMessage{{1, 2, 3}}, "01020300000000000000000000000000");
    check_wire_form(JoinMessage{JoinKind::sentinel, VmId{7}, 9, SessionId{8}},
                    "01 07000000000000000000000000000000 0900000000000000"
                    "08000000000000000000000000000000");
    check_wire_form(JoinedMessage{}, "");
    check_wire_form(RefuseMessage{"na\xc3\xafve\n"}, "07000000 6e613f3f76653f");
    check_wire_form(StateMessage{9, StateEncoding::delta, {1, 2, 3}},
                    "0900000000000000 01 03000000 010203");
    check_wire_form(OutputMessage{3, 1000, {'h', 'i', 0xff}},
                    "0300000000000000 e803000000000000 03000000 6869ff");
    check_wire_form(CommitMessage{1, 2, 3, 5, 4},
                    "0100000000000000 0200000000000000 0300000000000000"
                    "0500000000000000 0400000000000000");
    check_wire_form(AckMessage{0x0102030405060708}, "0807060504030201");
    check_wire_form(HeartbeatMessage{258}, "0201000000000000");
    check_wire_form(DigestsMessage{3, 512, {1, ~std::uint64_t{0}}},
                    "0300000000000000 0002000000000000"
                    "02000000 0100000000000000 ffffffffffffffff");
    check_wire_form(SwitchOverMessage{42}, "2a00000000000000");
    check_wire_form(SwitchedMessage{8}, "0800000000000000");
    check_wire_form(EndedMessage{"done"}, "04000000 646f6e65");
    check_wire_form(UnfitMessage{"RAM differs"}, "0b000000 52414d2064696666657273");
    check_wire_form(TryClaimMessage{}, "");
    check_wire_form(ClaimTriedMessage{}, "00000000");
    check_wire_form(StaysMessage{"done"}, "04000000 646f6e65");
    check_wire_form(AskGuestMessage{}, "");
    check_wire_form(KnownGuestMessage{GuestPlace::followed, VmId{7}, 9},
                    "02 07000000000000000000000000000000 0900000000000000");
}

TEST_CASE("protocol: hello", "[protocol]") {
    const HelloMessage hello = make_hello();
    const HelloMessage back = check_round_trip(hello);
    CHECK(back.vm == hello.vm);
    CHECK(back.generation == 7);
    CHECK(back.shape.memory_bytes == 64 * mib);
    CHECK(back.shape.vcpus == 2);
    CHECK(back.shape.disks == hello.shape.disks);
    CHECK(back.shape.nets == hello.shape.nets);
    REQUIRE(back.shape.cpuid.size() == 3);
    CHECK(back.shape.cpuid[1].edx == 0xdeadbeef);
    CHECK(back.heartbeat_ms == 100);
    CHECK(back.lost_after_ms == 1000);
    CHECK(back.interval_ms == 50);
    CHECK(back.origins.empty());
    HelloMessage own_disks = hello;
    own_disks.origins.assign(hello.shape.disks.size(), {3});
    CHECK(check_round_trip(own_disks).origin_of(0) == replay::LabelId{3});
    CHECK(own_disks.origin_of(hello.shape.disks.size()) == replay::LabelId{});
}

TEST_CASE("protocol: hello with values that cannot be", "[protocol]") {
    const auto refused = [](auto change) {
        HelloMessage hello = make_hello();
        change(hello);
        return is_refused(hello);
    };
    CHECK_FALSE(refused([](HelloMessage&) {}));
    CHECK(refused([](HelloMessage& m) { m.shape.memory_bytes = 0; }));
    CHECK(refused([](HelloMessage& m) { m.shape.memory_bytes += 1; }));
    CHECK(refused([](HelloMessage& m) { m.shape.memory_bytes = layout::memory_size_max * 2; }));
    CHECK(refused([](HelloMessage& m) { m.shape.vcpus = 0; }));
    CHECK(refused([](HelloMessage& m) { m.shape.vcpus = layout::vcpu_count_max + 1; }));
    CHECK(refused([](HelloMessage& m) { m.shape.disks.resize(layout::virtio_device_count_max); }));
    CHECK(refused([](HelloMessage& m) { m.shape.nets.resize(layout::virtio_device_count_max); }));
    CHECK(refused([](HelloMessage& m) { m.heartbeat_ms = 0; }));
    CHECK(refused([](HelloMessage& m) { m.lost_after_ms = m.heartbeat_ms; }));
    CHECK(refused([](HelloMessage& m) { m.lost_after_ms = 3'600'001; }));
    CHECK(refused([](HelloMessage& m) { m.interval_ms = 0; }));
    CHECK(refused([](HelloMessage& m) { m.interval_ms = 3'600'001; }));
    CHECK_FALSE(refused([](HelloMessage& m) { m.interval_ms = 3'600'000; }));
    CHECK(refused([](HelloMessage& m) { m.origins.resize(m.shape.disks.size() + 1); }));
    HelloMessage longest = make_hello();
    longest.shape.disks[0].serial = std::string(20, 's');
    Body serial = longest.encode();
    const auto text = std::ranges::search(serial, longest.shape.disks[0].serial).begin();
    *(text - 4) = 21;  // its length
    serial.insert(text, std::uint8_t{'s'});
    CHECK_FALSE(HelloMessage::decode(serial).ok());
    Body place = KnownGuestMessage{}.encode();
    place[0] = 3;
    CHECK_FALSE(KnownGuestMessage::decode(place).ok());
}

TEST_CASE("protocol: counts larger than the body allocate nothing", "[protocol]") {
    Body body = make_hello().encode();
    const std::size_t disks_at = 16 + 8 + 8 + 4;
    for (std::size_t i = 0; i < 4; ++i)
        body[disks_at + i] = 0xff;
    CHECK_FALSE(HelloMessage::decode(body).ok());
    Body digests = DigestsMessage{1, 0, {1, 2, 3}}.encode();
    for (std::size_t i = 0; i < 4; ++i)
        digests[16 + i] = 0xff;
    CHECK_FALSE(DigestsMessage::decode(digests).ok());
}

TEST_CASE("protocol: messages with numbers only", "[protocol]") {
    CHECK(check_round_trip(WelcomeMessage{{1, 2, 3}}).session == SessionId{1, 2, 3});
    CHECK(check_round_trip(AckMessage{~EpochId{0}}).epoch == ~EpochId{0});
    CHECK(check_round_trip(HeartbeatMessage{123456789}).output_shown == 123456789);
    CHECK(check_round_trip(SwitchOverMessage{42}).epoch == 42);
    CHECK(check_round_trip(SwitchedMessage{8}).generation == 8);
    check_round_trip(TryClaimMessage{});
}

TEST_CASE("protocol: a join names its kind and its session, and has one size", "[protocol]") {
    const JoinMessage join{JoinKind::sentinel, VmId{7}, 9, SessionId{8}};
    const JoinMessage back = check_round_trip(join);
    CHECK(back.kind == JoinKind::sentinel);
    CHECK(back.vm == VmId{7});
    CHECK(back.generation == 9);
    CHECK(back.session == SessionId{8});
    CHECK(join.encode().size() == JoinMessage::body_bytes);
    Body kind = join.encode();
    kind[0] = 2;
    CHECK_FALSE(JoinMessage::decode(kind).ok());
}

TEST_CASE("protocol: commit", "[protocol]") {
    const CommitMessage back = check_round_trip(CommitMessage{1, 2, 3, 5, 4});
    CHECK(back.epoch == 1);
    CHECK(back.page_records == 2);
    CHECK(back.digest == 3);
    CHECK(back.output_end == 5);
    CHECK(back.output_shown == 4);
    CHECK(is_refused(CommitMessage{1, 2, 3, 4, 5}));  // shown before it was committed
}

TEST_CASE("protocol: state", "[protocol]") {
    for (const StateEncoding encoding : {StateEncoding::whole, StateEncoding::delta}) {
        const StateMessage back = check_round_trip(StateMessage{9, encoding, {1, 2, 3, 4, 5}});
        CHECK(back.epoch == 9);
        CHECK(back.encoding == encoding);
        CHECK(back.image == Body{1, 2, 3, 4, 5});
    }
    CHECK(is_refused(StateMessage{9, static_cast<StateEncoding>(2), {}}));
}

TEST_CASE("protocol: output", "[protocol]") {
    const OutputMessage back = check_round_trip(OutputMessage{3, 1000, {'h', 'i', 0, 0xff}});
    CHECK(back.epoch == 3);
    CHECK(back.position == 1000);
    CHECK(back.bytes == Body{'h', 'i', 0, 0xff});
    CHECK_FALSE(is_refused(OutputMessage{3, 0, Body(output_bytes_max)}));
    CHECK(is_refused(OutputMessage{3, 0, Body(output_bytes_max + 1)}));
    CHECK(is_refused(OutputMessage{3, ~std::uint64_t{0}, {1}}));  // would wrap
    CHECK_FALSE(is_refused(OutputMessage{3, ~std::uint64_t{0}, {}}));
}

TEST_CASE("protocol: digests", "[protocol]") {
    const DigestsMessage back = check_round_trip(DigestsMessage{3, 512, {1, 2, ~std::uint64_t{0}}});
    CHECK(back.epoch == 3);
    CHECK(back.first_page == 512);
    CHECK(back.digests == std::vector<std::uint64_t>{1, 2, ~std::uint64_t{0}});
    const DigestsMessage largest{3, 0, std::vector<std::uint64_t>(DigestsMessage::digests_max)};
    CHECK(largest.encode().size() <= frame_body_max);
    CHECK_FALSE(is_refused(largest));
    CHECK(is_refused(
        DigestsMessage{3, 0, std::vector<std::uint64_t>(DigestsMessage::digests_max + 1)}));
}

TEST_CASE("protocol: reasons are short and plain", "[protocol]") {
    CHECK(check_round_trip(RefuseMessage{"this backup serves another VM"}).reason ==
          "this backup serves another VM");
    CHECK(check_round_trip(EndedMessage{"the guest powered off"}).reason ==
          "the guest powered off");
    CHECK(check_round_trip(UnfitMessage{"RAM differs"}).reason == "RAM differs");
    // The sender makes them so,
    CHECK(check_round_trip(RefuseMessage{std::string(5000, 'x')}).reason ==
          std::string(reason_bytes_max, 'x'));
    CHECK(check_round_trip(EndedMessage{"a\x1b[2J\nb\x7f"}).reason == "a?[2J?b?");
    CHECK(check_round_trip(UnfitMessage{"a\xc2\x9b"
                                        "b"})
              .reason == "a??b");
    // and the receiver does not rely on it.
    Body body = RefuseMessage{"abc"}.encode();
    body.back() = 0x1b;
    CHECK_FALSE(RefuseMessage::decode(body).ok());
    CHECK_FALSE(EndedMessage::decode(body).ok());
    CHECK_FALSE(UnfitMessage::decode(body).ok());
    body.back() = 0x9b;  // a control sequence by one byte
    CHECK_FALSE(RefuseMessage::decode(body).ok());
    ByteWriter longer;
    longer.text(std::string(reason_bytes_max + 1, 'x'));
    CHECK_FALSE(RefuseMessage::decode(longer.bytes()).ok());
}

TEST_CASE("protocol: an error names the message", "[protocol]") {
    CHECK(AckMessage::decode({}).error().message() == "a malformed ack message");
    CHECK(HelloMessage::decode({}).error().message() == "a malformed hello message");
}
