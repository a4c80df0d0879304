// SPDX-License-Identifier: Apache-2.0
// A peer that sends anything at all. The digests of frames would stop nearly every random byte at
// the door, so the first byte of the input chooses what the rest is:
//
//     odd   bytes as they come from the connection
//     even  frames (u8 type, u16 body length, body) that are given fitting headers
//
// What must hold: a frame comes out as it went in, however it was cut; a body is refused or decodes
// to something that encodes to the very same bytes; pages and deltas that were accepted write
// within their page, and what they made of it can be sent on as a difference.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/byte_codec.h"
#include "base/check.h"
#include "lockstep/wire/block_log_codec.h"
#include "lockstep/wire/delta.h"
#include "lockstep/wire/frame_codec.h"
#include "lockstep/wire/messages.h"
#include "lockstep/wire/packet_message.h"
#include "lockstep/wire/page_codec.h"
#include "replay/resync/resync_messages.h"
#include "replay/scrub/scrub_messages.h"

namespace {

using namespace fmvm;
using namespace fmvm::lockstep;
using Bytes = std::vector<std::uint8_t>;
using Page = std::array<std::uint8_t, page_size>;

constexpr std::size_t page_count = 4;
constexpr unsigned frame_types = 35;

FrameType numbered(unsigned number) {
    const bool optional = (number >= 26 && number <= 28) || number >= 34;
    return static_cast<FrameType>(optional ? number | optional_frame_bit : number);
}

template <typename Message>
void check_message(const Frame& frame) {
    const Result<Message> message = Message::decode(frame.body);
    if (message.ok()) FMVM_CHECK(std::ranges::equal(message.value().encode(), frame.body));
}

// The receiver of a pages or state message, and one that it sends on to.
class Receiver {
  public:
    void take(const Frame& frame) {
        switch (frame.type) {
            case FrameType::hello:
                return check_message<HelloMessage>(frame);
            case FrameType::welcome:
                return check_message<WelcomeMessage>(frame);
            case FrameType::refuse:
                return check_message<RefuseMessage>(frame);
            case FrameType::pages:
                return take_pages(frame.body);
            case FrameType::state:
                check_message<StateMessage>(frame);
                return take_state(frame.body);
            case FrameType::output:
                return check_message<OutputMessage>(frame);
            case FrameType::commit:
                return check_message<CommitMessage>(frame);
            case FrameType::ack:
                return check_message<AckMessage>(frame);
            case FrameType::heartbeat:
                return check_message<HeartbeatMessage>(frame);
            case FrameType::digests:
                return check_message<DigestsMessage>(frame);
            case FrameType::switch_over:
                return check_message<SwitchOverMessage>(frame);
            case FrameType::switched:
                return check_message<SwitchedMessage>(frame);
            case FrameType::ended:
                return check_message<EndedMessage>(frame);
            case FrameType::ask_switch_over:  // have no body
            case FrameType::ask_stay:
                return;
            case FrameType::block_log:
                return check_block_log(frame.body);
            case FrameType::disk_known:
                return check_message<replay::KnownMessage>(frame);
            case FrameType::disk_begin:
                return check_message<replay::BeginMessage>(frame);
            case FrameType::disk_ready:
                return check_message<replay::ReadyMessage>(frame);
            case FrameType::disk_digests:
                return check_message<replay::ChunkDigestsMessage>(frame);
            case FrameType::disk_wanted:
                return check_message<replay::WantedMessage>(frame);
            case FrameType::disk_blocks:
                return check_message<replay::BlocksMessage>(frame);
            case FrameType::disk_done:
                return check_message<replay::DoneMessage>(frame);
            case FrameType::disk_serial:
                return check_message<replay::SerialMessage>(frame);
            case FrameType::disk_check:
                return check_message<replay::CheckMessage>(frame);
            case FrameType::disk_checked:
                return check_message<replay::CheckedMessage>(frame);
            case FrameType::try_claim:
                return check_message<TryClaimMessage>(frame);
            case FrameType::claim_tried:
                return check_message<ClaimTriedMessage>(frame);
            case FrameType::stays:
                return check_message<StaysMessage>(frame);
            case FrameType::packet:
                return check_message<PacketMessage>(frame);
            case FrameType::unfit:
                return check_message<UnfitMessage>(frame);
            case FrameType::ask_guest:
                return check_message<AskGuestMessage>(frame);
            case FrameType::known_guest:
                return check_message<KnownGuestMessage>(frame);
            case FrameType::join:
                return check_message<JoinMessage>(frame);
            case FrameType::joined:
                return check_message<JoinedMessage>(frame);
            case FrameType::invalid:
                FMVM_CHECK(false);
        }
    }

  private:
    static void check_block_log(std::span<const std::uint8_t> body) {
        const Result<BlockLogBody> log = parse_block_log_body(body);
        if (!log.ok()) return;
        GatheredBody again = begin_block_log_body(log.value().epoch);
        for (const replay::BlockRecord& record : log.value().records)
            append_record(again, record);
        FMVM_CHECK(std::ranges::equal(again.flat(), body));
    }

    void take_pages(std::span<const std::uint8_t> body) {
        if (!check_pages_body(body, page_count).ok()) return;
        for_each_page(body, [this](const PageRecord& record) {
            // On the heap and alone, so that AddressSanitizer sees a byte too far.
            auto page = std::make_unique<Page>(pages_[record.page]);
            const bool whole = apply_page(record, *page);
            FMVM_CHECK(whole || record.encoding == PageEncoding::lz4);
            send_on(record.page, *page);
            pages_[record.page] = *page;
            return true;
        });
    }

    void send_on(PageIndex index, const Page& now) const {
        for (const bool known : {false, true}) {
            Bytes body = begin_pages_body(1);
            append_page(body, index, now, known ? pages_[index].data() : nullptr, {true, true});
            FMVM_CHECK(body.size() <= begin_pages_body(1).size() + page_record_max);
            FMVM_CHECK(check_pages_body(body, page_count).value().records == 1);
            Page copy = pages_[index];
            FMVM_CHECK(for_each_page(
                body, [&copy](const PageRecord& record) { return apply_page(record, copy); }));
            FMVM_CHECK(copy == now);
        }
    }

    void take_state(std::span<const std::uint8_t> body) {
        const Result<StateMessage> message = StateMessage::decode(body);
        if (!message.ok()) return;
        const Bytes& image = message.value().image;
        if (message.value().encoding == StateEncoding::whole) {
            state_ = image;
        } else if (check_delta(image, state_.size())) {
            apply_delta(image, state_);
        }
    }

    std::array<Page, page_count> pages_{};
    Bytes state_;
};

void take_raw(std::span<const std::uint8_t> bytes) {
    FrameDecoder decoder;
    Receiver receiver;
    while (!bytes.empty()) {
        const std::size_t before = bytes.size();
        Result<std::optional<Frame>> frame = decoder.feed(bytes);
        FMVM_CHECK(bytes.size() < before);
        if (!frame.ok()) return;
        FMVM_CHECK(decoder.wanted() != 0);
        if (*frame) receiver.take(**frame);
    }
}

// Feeds one frame in pieces and takes out what went in.
Frame transfer(FrameDecoder& decoder, std::uint64_t sequence, FrameType type,
               std::span<const std::uint8_t> body, std::size_t piece_max) {
    const FrameHeader header = make_frame_header(type, sequence, body);
    Bytes stream(header.begin(), header.end());
    stream.insert(stream.end(), body.begin(), body.end());
    std::span<const std::uint8_t> rest = stream;
    while (true) {
        std::span<const std::uint8_t> piece = rest.first(std::min(piece_max, rest.size()));
        const std::size_t size = piece.size();
        std::optional<Frame> frame = decoder.feed(piece).value();
        rest = rest.subspan(size - piece.size());
        FMVM_CHECK(frame.has_value() == rest.empty());
        if (frame) return std::move(*frame);
    }
}

void take_frames(std::span<const std::uint8_t> input, std::size_t piece_max) {
    FrameDecoder decoder;
    Receiver receiver;
    ByteReader in(input);
    for (std::uint64_t sequence = 0; in.remaining() > 3; ++sequence) {
        const auto type = numbered(in.u8() % frame_types + 1);
        const std::size_t length = in.u16();
        const auto body = in.raw(std::min(length, in.remaining()));
        const Frame frame = transfer(decoder, sequence, type, body, piece_max);
        FMVM_CHECK(frame.type == type && std::ranges::equal(frame.body, body));
        receiver.take(frame);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::span<const std::uint8_t> rest(data + 1, size - 1);
    if (data[0] % 2 != 0) {
        take_raw(rest);
    } else {
        take_frames(rest, data[0] / 2 + std::size_t{1});
    }
    return 0;
}
