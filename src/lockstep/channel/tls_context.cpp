// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/tls_context.h"

#include <openssl/evp.h>
#include <openssl/ssl.h>

#include <algorithm>

#include "base/check.h"

namespace fmvm::lockstep {

namespace {

constexpr const char* tls_suite = "TLS_AES_256_GCM_SHA384";
constexpr unsigned char tls_suite_id[] = {0x13, 0x02};
constexpr const char* tls_group = "X25519";
// One system call takes several records.
constexpr std::size_t read_buffer_bytes = 64 * 1024;
constexpr std::size_t id_digest_bytes = 8;

// Nobody finds a key of 256 random bits by a digest of it.
std::string key_id(const TlsKey& key) {
    constexpr std::string_view purpose = "fmvm key id";
    std::array<std::uint8_t, purpose.size() + sizeof key.bytes> text;
    std::ranges::copy(key.bytes, std::ranges::copy(purpose, text.begin()).out);
    std::array<std::uint8_t, EVP_MAX_MD_SIZE> digest;
    FMVM_CHECK(EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha256(), nullptr));
    std::string id = "fmvm-";
    for (const std::uint8_t byte : std::span(digest).first(id_digest_bytes))
        id += fmt::format("{:02x}", byte);
    return id;
}

// What OpenSSL takes for a key. Null: there is no memory.
SSL_SESSION* make_psk(SSL* ssl, const TlsKey& key) {
    SSL_SESSION* const psk = SSL_SESSION_new();
    const SSL_CIPHER* const cipher = SSL_CIPHER_find(ssl, tls_suite_id);
    if (psk != nullptr && cipher != nullptr &&
        SSL_SESSION_set1_master_key(psk, key.bytes.data(), key.bytes.size()) == 1 &&
        SSL_SESSION_set_cipher(psk, cipher) == 1 &&
        SSL_SESSION_set_protocol_version(psk, TLS1_3_VERSION) == 1) {
        return psk;
    }
    SSL_SESSION_free(psk);
    return nullptr;
}

const TlsContext& context_of(const SSL* ssl) {
    return *static_cast<const TlsContext*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
}

// SSL_psk_use_session_cb_func
int offer_key(SSL* ssl, const EVP_MD*, const unsigned char** id, std::size_t* id_size,
              SSL_SESSION** psk) {
    const TlsContext::NamedKey& offered = context_of(ssl).offered();
    *id = reinterpret_cast<const unsigned char*>(offered.id.data());
    *id_size = offered.id.size();
    *psk = make_psk(ssl, offered.key);
    return *psk != nullptr ? 1 : 0;
}

// SSL_psk_find_session_cb_func. Without a key the handshake finds no certificate, and fails.
int find_key(SSL* ssl, const unsigned char* id, std::size_t id_size, SSL_SESSION** psk) {
    const TlsContext::NamedKey* const found =
        context_of(ssl).find({reinterpret_cast<const char*>(id), id_size});
    *psk = found != nullptr ? make_psk(ssl, found->key) : nullptr;
    return found == nullptr || *psk != nullptr ? 1 : 0;
}

}  // namespace

TlsContext::TlsContext(const TlsKeys& keys) {
    FMVM_CHECK(!keys.empty());
    for (const TlsKey& key : keys)
        keys_.push_back({key_id(key), key});
    // Threads may use it while the process ends.
    FMVM_CHECK(OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, nullptr) == 1);
    context_ = SSL_CTX_new(TLS_method());
    FMVM_CHECK(context_ != nullptr);
    SSL_CTX_set_app_data(context_, this);
    FMVM_CHECK(SSL_CTX_set_min_proto_version(context_, TLS1_3_VERSION) == 1 &&
               SSL_CTX_set_max_proto_version(context_, TLS1_3_VERSION) == 1 &&
               SSL_CTX_set_ciphersuites(context_, tls_suite) == 1 &&
               SSL_CTX_set1_groups_list(context_, tls_group) == 1);
    SSL_CTX_set_psk_use_session_callback(context_, offer_key);
    SSL_CTX_set_psk_find_session_callback(context_, find_key);
    // A key without Diffie-Hellman (SSL_OP_ALLOW_NO_DHE_KEX), early data and HelloRetryRequest's
    // cookies are off unless asked for.
    SSL_CTX_set_options(context_, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_clear_options(context_, SSL_OP_ALLOW_NO_DHE_KEX | SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
    SSL_CTX_set_num_tickets(context_, 0);
    SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context_, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context_, 1);
    SSL_CTX_set_default_read_buffer_len(context_, read_buffer_bytes);
}

TlsContext::~TlsContext() {
    SSL_CTX_free(context_);
}

SSL* TlsContext::new_session() const {
    SSL* const session = SSL_new(context_);
    if (session == nullptr) throw std::bad_alloc();
    return session;
}

const TlsContext::NamedKey* TlsContext::find(std::string_view id) const {
    const auto found = std::ranges::find(keys_, id, &NamedKey::id);
    return found == keys_.end() ? nullptr : &*found;
}

}  // namespace fmvm::lockstep
