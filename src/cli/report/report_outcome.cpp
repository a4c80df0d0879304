// SPDX-License-Identifier: Apache-2.0
#include "cli/report/report_outcome.h"

#include <memory>

#include "base/log.h"
#include "base/standard_error.h"
#include "cli/report/exit_status.h"
#include "cli/report/progress_line.h"
#include "cli/report/report_error.h"
#include "node/console/escape_parser.h"

namespace fmvm::cli {

using lockstep::PrimaryEnd;

void tell_quirks(const node::BuiltMachine& built) {
    if (built.quirks.empty()) return;
    log::notice("run",
                "this host emulates ring 0; added to the kernel command line "
                "(--host-quirks off leaves it out): {}",
                built.quirks);
}

void show_console_help() {
    standard_error().write(node::escape_help);
}

node::Watcher watch_on_stderr() {
    node::Watcher watcher;
    watcher.figures = [](const std::string& text) { standard_error().write(text); };
    // At its end the line may have given way to what the guest shows.
    auto line = std::make_shared<ProgressLine>(standard_error(), ProgressLine::AtEnd::leave);
    watcher.progress = [line](const std::string& text) { line->show(text); };
    return watcher;
}

int report_end(GuestEnd end, const std::string& report) {
    switch (end) {
        case GuestEnd::power_off:
            log::info("run", "the guest powered off");
            return to_int(ExitStatus::ok);
        case GuestEnd::reset:
            log::info("run", "the guest asked for a reset");
            return to_int(ExitStatus::guest_reset);
        case GuestEnd::crash:
            return report_error(
                "the guest crashed (triple fault); the host's kernel log may name the vector and "
                "RIP",
                ExitStatus::guest_crashed);
        case GuestEnd::unsupported:
            standard_error().write_above_limit(fmt::format("fmvm: {}\n", report));  // several lines
            return to_int(ExitStatus::guest_stuck);
        case GuestEnd::stopped:
            log::info("run", "the guest was stopped");
            return to_int(ExitStatus::operator_stop);
    }
    return to_int(ExitStatus::failure);
}

int report_outcome(const node::Outcome& outcome, const std::string& report) {
    if (!outcome.end) {
        return report_error(
            fmt::format(
                "the guest has ended ({}), but within {} s neither the backup nor the arbiter "
                "could be told: some of its output was not shown, and it may go on, from a "
                "moment before, on the backup; look there before it is started again",
                node::describe_end(outcome.guest), node::ProtectedRun::farewell_limit.count()),
            ExitStatus::failure);
    }
    switch (*outcome.end) {
        case PrimaryEnd::guest_ended:
            return report_end(outcome.guest, report);
        case PrimaryEnd::handed_over:
            log::notice("primary", "switched over: {}", outcome.why);
            return to_int(ExitStatus::ok);
        case PrimaryEnd::superseded:
            return report_error(fmt::format("halted: {}", outcome.why), ExitStatus::superseded);
        case PrimaryEnd::backup_lost:
            return report_error(
                fmt::format("halted, as --on-backup-lost stop asks: {}", outcome.why),
                ExitStatus::backup_lost);
        case PrimaryEnd::failed:
            return report_error(outcome.why, ExitStatus::failure);
    }
    return to_int(ExitStatus::failure);
}

}  // namespace fmvm::cli
