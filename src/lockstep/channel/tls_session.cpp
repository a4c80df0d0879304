// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/tls_session.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "base/units.h"

namespace fmvm::lockstep {

namespace {

constexpr std::size_t tls_record_bytes = SSL3_RT_MAX_PLAIN_LENGTH;
constexpr std::size_t tls_turn_bytes = 256 * kib;

// Why the peer could not prove itself, for the operator of this side. Of all that OpenSSL tells
// apart, only what he can do something about counts.
std::string describe_refusal(TlsSession::Role role, unsigned long error) {
    const bool by_client = role == TlsSession::Role::client;
    const int reason = ERR_GET_REASON(error);
    switch (reason) {
        case SSL_R_BINDER_DOES_NOT_VERIFY:
        case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
        case SSL_R_NO_SHARED_CIPHER:
            return "it does not hold this side's key; give both sides --tls with the same one";
        case SSL_R_WRONG_VERSION_NUMBER:
        case SSL_R_HTTP_REQUEST:
        case SSL_R_UNEXPECTED_MESSAGE:
        case SSL_R_BAD_RECORD_TYPE:
            return "it does not speak TLS; give both sides --tls";
        default:
            break;
    }
    if (by_client && reason >= SSL_AD_REASON_OFFSET)
        return "it does not take this side's key; give both sides --tls with the same one";
    const char* const text = ERR_reason_error_string(error);
    return fmt::format("TLS with it fails ({})", text != nullptr ? text : "for no known reason");
}

}  // namespace

// Where in the pieces the next record begins.
class TlsSession::Cursor {
  public:
    explicit Cursor(std::span<const boost::asio::const_buffer> pieces) : pieces_(pieces) {}

    bool at_end() const { return pieces_.empty(); }
    // The next record: a part of a large piece, where it lies, or smaller ones gathered.
    std::span<const std::uint8_t> next_record(std::vector<std::uint8_t>& gathered) const {
        const std::span<const std::uint8_t> first = rest_of_first();
        if (first.size() >= tls_record_bytes || pieces_.size() == 1)
            return first.first(std::min(first.size(), tls_record_bytes));
        gathered.resize(tls_record_bytes);
        std::size_t filled = 0;
        std::size_t skip = offset_;
        for (const boost::asio::const_buffer& piece : pieces_) {
            const std::size_t count = std::min(piece.size() - skip, tls_record_bytes - filled);
            std::memcpy(gathered.data() + filled, static_cast<const char*>(piece.data()) + skip,
                        count);
            filled += count;
            skip = 0;
            if (filled == tls_record_bytes) break;
        }
        return std::span(gathered).first(filled);
    }
    void advance(std::size_t bytes) {
        offset_ += bytes;
        while (!pieces_.empty() && offset_ >= pieces_.front().size()) {
            offset_ -= pieces_.front().size();
            pieces_ = pieces_.subspan(1);
        }
    }

  private:
    std::span<const std::uint8_t> rest_of_first() const {
        const boost::asio::const_buffer& piece = pieces_.front();
        return std::span(static_cast<const std::uint8_t*>(piece.data()), piece.size())
            .subspan(offset_);
    }

    std::span<const boost::asio::const_buffer> pieces_;
    std::size_t offset_ = 0;  // in the first of them
};

TlsSession::TlsSession(std::shared_ptr<const TlsContext> context, Role role, int socket,
                       std::uint64_t records_per_key)
    : context_(std::move(context)),
      role_(role),
      records_per_key_(records_per_key),
      socket_{socket},
      ssl_(context_->new_session()) {
    BIO* const bio = new_bio(socket_);
    SSL_set_bio(ssl_, bio, bio);
    if (role == Role::server) {
        SSL_set_accept_state(ssl_);
    } else {
        SSL_set_connect_state(ssl_);
        // A server without the key has no certificate that anybody vouches for.
        SSL_set_verify(ssl_, SSL_VERIFY_PEER, nullptr);
    }
}

TlsSession::~TlsSession() {
    SSL_free(ssl_);
}

Moved TlsSession::lose(std::string why) {
    lost_ = std::move(why);
    return {.lost = lost_};
}

Moved TlsSession::outcome(int result, std::string_view what) {
    switch (SSL_get_error(ssl_, result)) {
        case SSL_ERROR_WANT_READ:
            return {.needs = Needs::readable};
        case SSL_ERROR_WANT_WRITE:
            return {.needs = Needs::writable};
        case SSL_ERROR_ZERO_RETURN:
            return lose(peer_closed);
        case SSL_ERROR_SYSCALL:
            if (socket_.error == 0 || socket_.error == ECONNRESET) return lose(peer_closed);
            return lose(std::strerror(socket_.error));
        default:
            return lose(std::string(what));
    }
}

Moved TlsSession::shake_hands() {
    if (!lost_.empty()) return {.lost = lost_};
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_);
    if (result != 1) {
        Moved moved = outcome(result, describe_refusal(role_, ERR_peek_error()));
        if (moved.lost != peer_closed) return moved;
        return lose(
            "it closed the connection before it had proven that it holds this side's key; give "
            "both sides --tls with the same one");
    }
    // Both are so by the context; nothing else may ever pass for it.
    if (SSL_version(ssl_) == TLS1_3_VERSION && SSL_session_reused(ssl_) == 1) return {};
    return lose("it has shaken hands without the key");
}

Moved TlsSession::read(std::span<std::uint8_t> space) {
    if (!lost_.empty()) return {.lost = lost_};
    const std::span<std::uint8_t> turn = space.first(std::min(space.size(), tls_turn_bytes));
    Moved moved;
    while (moved.bytes != turn.size()) {
        const std::span<std::uint8_t> rest = turn.subspan(moved.bytes);
        std::size_t count = 0;
        ERR_clear_error();
        const int result = SSL_read_ex(ssl_, rest.data(), rest.size(), &count);
        moved.bytes += count;
        if (result == 1) continue;
        Moved stopped = outcome(result, "what it sends is not genuine: somebody changes it");
        return moved.bytes != 0 ? moved : stopped;
    }
    return moved;
}

Moved TlsSession::write(std::span<const boost::asio::const_buffer> pieces) {
    if (!lost_.empty()) return {.lost = lost_};
    Cursor cursor(pieces);
    Moved moved;
    while (!cursor.at_end() && moved.bytes < tls_turn_bytes) {
        if (next_.empty()) {
            renew_key();
            next_ = cursor.next_record(gathered_);
        }
        std::size_t count = 0;
        ERR_clear_error();
        const int result = SSL_write_ex(ssl_, next_.data(), next_.size(), &count);
        if (result != 1) {
            Moved stopped = outcome(result, "TLS takes nothing more to be sent");
            return moved.bytes != 0 ? moved : stopped;
        }
        FMVM_CHECK(count == next_.size());
        next_ = {};
        ++records_;
        cursor.advance(count);
        moved.bytes += count;
    }
    return moved;
}

// Between two records. The message goes before the next of them, and changes this direction only.
void TlsSession::renew_key() {
    if (records_ < records_per_key_) return;
    FMVM_CHECK(SSL_key_update(ssl_, SSL_KEY_UPDATE_NOT_REQUESTED) == 1);
    records_ = 0;
}

}  // namespace fmvm::lockstep
