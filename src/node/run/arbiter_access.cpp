// SPDX-License-Identifier: Apache-2.0
#include "node/run/arbiter_access.h"

#include <unistd.h>

#include "base/log.h"
#include "base/random.h"
#include "lockstep/arbiter/arbiter_thread.h"

namespace fmvm::node {

namespace {

constexpr std::chrono::seconds mark_limit{2};

}  // namespace

std::string make_side_name() {
    char host[256] = {};
    ::gethostname(host, sizeof host - 1);
    return fmt::format("{}:{}:{:016x}", host, ::getpid(), random_value<std::uint64_t>());
}

Result<std::shared_ptr<lockstep::Arbiter>> open_arbiter(const ArbiterOptions& options,
                                                        const lockstep::VmId& vm,
                                                        const std::string& side) {
    if (!options.none) {
        std::shared_ptr<lockstep::Arbiter> arbiter =
            FMVM_TRY(lockstep::create_file_arbiter(options.path, vm, side));
        for (const std::string& name : FMVM_TRY(lockstep::file_arbiter_junk(options.path))) {
            log::warning("arbiter",
                         "{}: beside it lies '{}', which fmvm did not write; see who did",
                         options.path, name);
        }
        return arbiter;
    }
    log::notice("arbiter", "none: after a cut link two sides may run this guest at once");
    return std::shared_ptr<lockstep::Arbiter>(lockstep::create_no_arbiter());
}

void mark_ended(const std::shared_ptr<lockstep::Arbiter>& arbiter, lockstep::Generation generation,
                std::string_view component) {
    const auto marked = lockstep::ask_for<Result<void>>(
        mark_limit, [arbiter, generation] { return arbiter->mark_ended(generation); });
    if (!marked) {
        log::warning(component,
                     "the arbiter does not answer, and does not know that the guest has ended: the "
                     "next start will be refused");
    } else if (!marked->ok()) {
        log::warning(component, "{}", marked->error().message());
    }
}

}  // namespace fmvm::node
