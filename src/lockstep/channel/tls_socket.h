// SPDX-License-Identifier: Apache-2.0
// How OpenSSL gets at a socket of ours: OpenSSL's own way would raise SIGPIPE, and does not tell
// why a socket failed.
#pragma once

struct bio_st;

namespace fmvm::lockstep {

struct TlsSocket {
    int fd;
    int error = 0;  // errno of the last failure; 0: the peer has ended
};

// Does not block, whatever the socket does. The TlsSocket outlives it and keeps its place; OpenSSL
// frees it with its session. Throws std::bad_alloc.
bio_st* new_bio(TlsSocket& socket);

}  // namespace fmvm::lockstep
