// SPDX-License-Identifier: Apache-2.0
#include "cli/protected_guest.h"

#include <malloc.h>
#include <unistd.h>

#include "base/log.h"
#include "base/random.h"

namespace fmvm::cli {

void keep_message_memory() {
    constexpr int largest_message = 8 << 20;
    constexpr int kept_free = 64 << 20;
    ::mallopt(M_MMAP_THRESHOLD, largest_message);
    ::mallopt(M_TRIM_THRESHOLD, kept_free);
}

std::string make_side_name() {
    char host[256] = {};
    ::gethostname(host, sizeof host - 1);
    return fmt::format("{}:{}:{:016x}", host, ::getpid(), random_value<std::uint64_t>());
}

Result<std::unique_ptr<lockstep::Arbiter>> open_arbiter(const ArbiterOptions& options,
                                                        const lockstep::VmId& vm,
                                                        const std::string& side) {
    if (!options.none) return lockstep::create_file_arbiter(options.path, vm, side);
    log::notice("arbiter", "none: after a cut link two sides may run this guest at once");
    return lockstep::create_no_arbiter();
}

void mark_ended(lockstep::Arbiter& arbiter, lockstep::Generation generation,
                std::string_view component) {
    const Result<void> marked = arbiter.mark_ended(generation);
    if (!marked.ok()) log::warning(component, "{}", marked.error().message());
}

void guard_output(BuiltMachine& built, lockstep::Arbiter& arbiter,
                  std::function<lockstep::Generation()> generation) {
    const auto permit = [&arbiter, generation = std::move(generation)] {
        const Result<bool> newest = arbiter.is_newest(generation());
        if (!newest.ok()) return ConsoleOutput::Permit::withheld;
        return newest.value() ? ConsoleOutput::Permit::granted : ConsoleOutput::Permit::revoked;
    };
    built.console->require_permit(permit);
    for (lockstep::WriteGate* gate : built.write_gates)
        gate->require_permit([permit] { return permit() == ConsoleOutput::Permit::granted; });
}

}  // namespace fmvm::cli
