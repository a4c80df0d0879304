// SPDX-License-Identifier: Apache-2.0
// The end of decoding a message of a peer.
#pragma once

#include "base/byte_codec.h"
#include "base/result.h"

namespace fmvm {

// The message, if `in` held it and nothing else. `name`: for the error.
template <typename T>
Result<T> checked(T message, const ByteReader& in, const char* name) {
    if (!in.done()) return make_error("a malformed {} message", name);
    return message;
}

}  // namespace fmvm
