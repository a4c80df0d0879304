// SPDX-License-Identifier: Apache-2.0
#include "base/thread.h"

#include <fmt/format.h>
#include <pthread.h>

#include <system_error>
#include <utility>

#include "base/process_end.h"

namespace fmvm {

std::thread start_thread(const std::string& name, std::function<void()> body) {
    try {
        return std::thread([name, body = std::move(body)] {
            ::pthread_setname_np(::pthread_self(), name.c_str());
            try {
                body();
            } catch (...) {
                end_process_by_exception();
            }
        });
    } catch (const std::system_error& error) {
        throw std::system_error(error.code(), fmt::format("the thread {} cannot be started", name));
    }
}

}  // namespace fmvm
