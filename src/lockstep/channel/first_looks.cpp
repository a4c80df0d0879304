// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/first_looks.h"

#include <utility>

namespace fmvm::lockstep {

namespace {

using ErrorCode = boost::system::error_code;

// Whether bytes that begin so may become a join.
bool may_be_join(std::span<const std::uint8_t> begun) {
    if (begun.size() < frame_header_size) return true;
    FrameHeader header{};
    std::ranges::copy(begun.first(frame_header_size), header.begin());
    return type_in(header) == FrameType::join;
}

Result<JoinMessage> decode_join(std::span<const std::uint8_t> bytes) {
    FrameDecoder decoder;
    std::optional<Frame> frame;
    while (!frame && !bytes.empty())
        frame = FMVM_TRY(decoder.feed(bytes));
    if (!frame || !bytes.empty()) return Error("a join of another size");
    return JoinMessage::decode(frame->body);
}

}  // namespace

void FirstLooks::add(Transport transport) {
    if (looks_.size() == looks_max) return handlers_.channel(std::move(transport));
    const Looking place = looks_.emplace(looks_.end(), loop_.get_executor(), std::move(transport));
    place->limit.expires_after(patience);
    place->limit.async_wait(place->tasks.bind([this, place](const ErrorCode& cancelled) {
        if (!cancelled) is_channel(place);
    }));
    go_on(place);
}

// Reads no further than it must to know.
void FirstLooks::go_on(Looking look) {
    while (look->filled != join_bytes) {
        const std::size_t wanted =
            look->filled < frame_header_size ? frame_header_size : join_bytes;
        const std::span<std::uint8_t> space =
            std::span(look->bytes).first(wanted).subspan(look->filled);
        const Moved moved = look->stream.transport().read(space);
        if (moved.needs != Needs::nothing) {
            return look->stream.wait(moved.needs, look->tasks.bind([this, look] { go_on(look); }));
        }
        look->filled += moved.bytes;
        if (moved.is_lost() || !may_be_join(std::span(look->bytes).first(look->filled)))
            return is_channel(look);
    }
    take_join(look);
}

void FirstLooks::take_join(Looking look) {
    const Result<JoinMessage> join = decode_join(look->bytes);
    Joiner joiner(end(look), join.ok() ? join.value() : JoinMessage{});
    if (!join.ok()) return joiner.refuse(join.error().message());
    handlers_.join(std::move(joiner));
}

void FirstLooks::is_channel(Looking look) {
    look->stream.transport().unread(std::span(look->bytes).first(look->filled));
    handlers_.channel(end(look));
}

// What is still to be called for it is not.
Transport FirstLooks::end(Looking look) {
    look->limit.cancel();
    Transport transport = look->stream.release();
    looks_.erase(look);
    return transport;
}

}  // namespace fmvm::lockstep
