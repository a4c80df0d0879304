// SPDX-License-Identifier: Apache-2.0
#include "cli/options/protection_table.h"

#include "cli/options/option_values.h"
#include "cli/options/protection_values.h"

namespace fmvm::cli {

namespace {

using R = node::ReplicationOptions;
using P = lockstep::EpochPolicyOptions;
using C = lockstep::CheckpointerOptions;

Result<void> take_compress(R& options, std::string_view word) {
    return take_compression(options.checkpointer, word);
}

constexpr Option<R> protection_options[] = {
    {{"--sync", "kemari|epoch|adaptive", "When to cut (default {})", "adaptive"},
     into<parse_sync, &R::policy, &P::mode>},
    {{"--epoch", "TIME", "Longest time between cuts (default {})", "50ms"},
     into<parse_duration, &R::policy, &P::interval_max>},
    {{"--output-delay", "TIME",
      "How long output may wait to be released, in the adaptive mode (default {})", "2ms"},
     into<parse_duration, &R::policy, &P::output_delay>},
    {{"--dirty-budget", "SIZE",
      "Cut earlier when the guest newly writes more, in the adaptive mode (default {})", "16M"},
     into<parse_dirty_budget, &R::policy, &P::dirty_budget>},
    {{"--heartbeat", "TIME", "Sign of life (default {})", "20ms"},
     into<parse_milliseconds, &R::heartbeat>},
    {{"--lost-after", "TIME", "Silence after which a side counts as lost (default {})", "200ms"},
     into<parse_milliseconds, &R::lost_after>},
    {{"--permit", "TIME",
      "How long output may go on, at least, after the backup's last promise to be silent (default "
      "{}, or half of --lost-after)",
      "50ms"},
     into<parse_milliseconds, &R::permit>},
    {{"--on-backup-lost", "continue|stop", "What to do without a backup (default {})", "continue"},
     into<parse_on_backup_lost, &R::on_backup_lost>},
    {{"--staging", "SIZE", "Memory for copies of pages (default {})", "256M"},
     into<parse_staging, &R::checkpointer, &C::store_bytes>},
    {{"--compress", "auto|off|delta|delta+lz4",
      "How pages are made smaller (default {}: deltas, and LZ4 for the first pages of an epoch)",
      "auto"},
     take_compress},
    {{"--dirty-log", "bitmap|ring",
      "How KVM tells which pages the guest wrote (default {}; ring: no hot pages)", "bitmap"},
     into<parse_dirty_log, &R::dirty_log>},
    {{"--hot-pages", "on|off",
      "Leave pages that are always written writable, and compare them (default {})", "on"},
     into<parse_switch, &R::checkpointer, &C::hot_pages>},
    {{"--verify", "N", "Compare all of RAM with the backup's every N epochs (slow)"},
     into<parse_count, &R::checkpointer, &C::verify_every>},
    {{"--ack", "received|durable",
      "An epoch counts as committed when the backup has it in memory (default), or when its disks "
      "hold it on stable storage",
      "received"},
     into<parse_acknowledgement, &R::durable>},
    {{"--rx-forward", "on|off",
      "Send the backup at once what network cards receive, so that a takeover loses none of it "
      "(default {})",
      "on"},
     into<parse_switch, &R::rx_forward>},
    {{"--trace", "FILE", "Write one JSON line per epoch"}, into<parse_path, &R::trace>},
};

}  // namespace

std::span<const Option<R>> replication_table() {
    return protection_options;
}

}  // namespace fmvm::cli
