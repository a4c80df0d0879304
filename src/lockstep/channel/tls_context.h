// SPDX-License-Identifier: Apache-2.0
// What TLS is to fmvm, and by which keys (docs/protocol.md, "TLS"): version 1.3, one cipher suite,
// one group, a key that both sides have and Diffie-Hellman on top of it. Nothing is negotiated.
//
// A key is known by its id, which is a digest of it, and goes over the network in the clear.
//
// Immutable; any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lockstep/channel/tls_key.h"

struct ssl_ctx_st;
struct ssl_st;

namespace fmvm::lockstep {

class TlsContext {
  public:
    // A client offers the first of the keys, a server takes any of them.
    explicit TlsContext(const TlsKeys& keys);
    ~TlsContext();
    TlsContext(const TlsContext&) = delete;
    TlsContext& operator=(const TlsContext&) = delete;

    // A session of OpenSSL that has no role and no socket yet. The caller frees it; this outlives
    // it.
    ssl_st* new_session() const;

    struct NamedKey {
        std::string id;
        TlsKey key;
    };
    const NamedKey& offered() const { return keys_.front(); }
    // Null: no key has this id.
    const NamedKey* find(std::string_view id) const;

  private:
    std::vector<NamedKey> keys_;
    ssl_ctx_st* context_;
};

}  // namespace fmvm::lockstep
