// SPDX-License-Identifier: Apache-2.0
#include "lockstep/wire/frame_codec.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/field_list.h"

namespace fmvm::lockstep {

namespace {

constexpr std::uint32_t magic = 0x4c564d46;       // "FMVL"
constexpr std::size_t checked_header_bytes = 32;  // those before the digest of the header

struct HeaderFields {
    std::uint32_t magic = 0;
    std::uint16_t version = 0;
    std::uint16_t type = 0;
    std::uint32_t length = 0;
    std::uint32_t zero = 0;
    std::uint64_t sequence = 0;
    std::uint64_t body_digest = 0;
};

void fields(auto& archive, FieldsOf<HeaderFields> auto& header) {
    archive.u32(header.magic);
    archive.u16(header.version);
    archive.u16(header.type);
    archive.u32(header.length);
    archive.u32(header.zero);
    archive.u64(header.sequence);
    archive.u64(header.body_digest);
}

}  // namespace

const char* name_of(FrameType type) {
    switch (type) {
        case FrameType::invalid:
            break;
        case FrameType::hello:
            return "hello";
        case FrameType::welcome:
            return "welcome";
        case FrameType::refuse:
            return "refuse";
        case FrameType::pages:
            return "pages";
        case FrameType::state:
            return "state";
        case FrameType::output:
            return "output";
        case FrameType::commit:
            return "commit";
        case FrameType::ack:
            return "ack";
        case FrameType::heartbeat:
            return "heartbeat";
        case FrameType::digests:
            return "digests";
        case FrameType::switch_over:
            return "switch-over";
        case FrameType::switched:
            return "switched";
        case FrameType::ended:
            return "ended";
        case FrameType::ask_switch_over:
            return "ask switch over";
        case FrameType::block_log:
            return "block log";
        case FrameType::disk_known:
            return "disk known";
        case FrameType::disk_begin:
            return "disk begin";
        case FrameType::disk_ready:
            return "disk ready";
        case FrameType::disk_digests:
            return "disk digests";
        case FrameType::disk_wanted:
            return "disk wanted";
        case FrameType::disk_blocks:
            return "disk blocks";
        case FrameType::disk_done:
            return "disk done";
        case FrameType::disk_check:
            return "disk check";
        case FrameType::disk_checked:
            return "disk checked";
        case FrameType::unfit:
            return "unfit";
        case FrameType::try_claim:
            return "try claim";
        case FrameType::claim_tried:
            return "claim tried";
        case FrameType::stays:
            return "stays";
        case FrameType::ask_stay:
            return "ask stay";
        case FrameType::packet:
            return "packet";
        case FrameType::ask_guest:
            return "ask guest";
        case FrameType::known_guest:
            return "known guest";
        case FrameType::join:
            return "join";
        case FrameType::joined:
            return "joined";
        case FrameType::disk_serial:
            return "disk serial";
    }
    return "unknown";
}

std::uint64_t chain_digest(std::uint64_t before, std::uint64_t body_digest) {
    ByteWriter out;
    out.u64(body_digest);
    return digest_of(out.bytes(), before);
}

FrameHeader make_frame_header(FrameType type, std::uint64_t sequence,
                              std::span<const std::uint8_t> body) {
    return make_frame_header(type, sequence, body.size(), digest_of(body));
}

FrameHeader make_frame_header(FrameType type, std::uint64_t sequence, std::size_t body_size,
                              std::uint64_t digest_of_body) {
    FMVM_CHECK(type != FrameType::invalid && body_size <= frame_body_max);
    const HeaderFields header_fields{.magic = magic,
                                     .version = protocol_version,
                                     .type = static_cast<std::uint16_t>(type),
                                     .length = static_cast<std::uint32_t>(body_size),
                                     .zero = 0,
                                     .sequence = sequence,
                                     .body_digest = digest_of_body};
    ByteWriter out;
    FieldWriter archive(out);
    fields(archive, header_fields);
    out.u64(digest_of(out.bytes()));
    FMVM_CHECK(out.size() == frame_header_size);
    FrameHeader header{};
    std::ranges::copy(out.bytes(), header.begin());
    return header;
}

FrameType type_in(const FrameHeader& header) {
    ByteReader in(header);
    FieldReader archive(in);
    HeaderFields found;
    fields(archive, found);
    return found.magic == magic ? static_cast<FrameType>(found.type) : FrameType::invalid;
}

std::span<std::uint8_t> FrameDecoder::space() {
    std::uint8_t* const start = in_body_ ? body_.data() : header_.data();
    return {start + filled_, wanted()};
}

Result<std::optional<Frame>> FrameDecoder::feed(std::span<const std::uint8_t>& bytes) {
    const std::size_t count = std::min(bytes.size(), wanted());
    copy_bytes(bytes.first(count), space().data());
    bytes = bytes.subspan(count);
    return received(count);
}

Result<std::optional<Frame>> FrameDecoder::received(std::size_t count) {
    FMVM_CHECK(count <= wanted());
    filled_ += count;
    if (wanted() != 0) return std::optional<Frame>();
    if (!in_body_) {
        FMVM_TRY(begin_body());
        if (!body_.empty()) return std::optional<Frame>();
    }
    return finish_frame();
}

Result<void> FrameDecoder::begin_body() {
    ByteReader in(header_);
    FieldReader archive(in);
    HeaderFields header;
    fields(archive, header);
    const std::uint64_t header_digest = in.u64();
    FMVM_CHECK(in.done());
    if (header.magic != magic) return Error("it does not speak fmvm's protocol");
    if (header_digest !=
        digest_of(std::span<const std::uint8_t>(header_).first(checked_header_bytes)))
        return Error("a frame header is damaged");
    if (header.version != protocol_version)
        return make_error("it speaks protocol version {}, this fmvm speaks {}", header.version,
                          protocol_version);
    if (header.type == 0 || header.zero != 0) return Error("a frame header is malformed");
    if (header.length > frame_body_max)
        return make_error("a frame of {} bytes is too long", header.length);
    if (header.sequence != next_sequence_)
        return make_error("frame {} came where {} was due", header.sequence, next_sequence_);
    type_ = static_cast<FrameType>(header.type);
    body_digest_ = header.body_digest;
    body_.resize(header.length);
    filled_ = 0;
    in_body_ = true;
    return {};
}

Result<std::optional<Frame>> FrameDecoder::finish_frame() {
    if (body_digest_ != digest_of(body_)) return Error("a frame body is damaged");
    Frame frame{type_, std::exchange(body_, {}), body_digest_};
    in_body_ = false;
    filled_ = 0;
    ++next_sequence_;
    return std::optional<Frame>(std::move(frame));
}

}  // namespace fmvm::lockstep
