// SPDX-License-Identifier: Apache-2.0
#include "cli/options/replay_arguments.h"

#include "cli/options/option_values.h"

namespace fmvm::cli {

namespace {

constexpr const char* replay_footer = R"(
The log is a file that --record of fmvm run or fmvm primary made. Each image must be a copy of what
the guest's disk was when that was started; it is changed. All of the log that is used is checked
before, and what the guest read is compared meanwhile.

Examples:
  fmvm replay vm.log --disk copy.img
  fmvm replay vm.log --disk copy.img --until 120
  fmvm replay vm.log --dump --json | jq 'select(.op == "write")'

Exit status: 0 when all was carried out; 1 when an image is not what the log says, or a disk fails;
2 for bad usage, a log that is damaged, an image of another size.)";

Result<node::DiskOptions> parse_image(std::string_view text) {
    if (text.starts_with("path=")) {
        node::DiskOptions disk = FMVM_TRY(parse_disk(text));
        if (disk.readonly || !disk.serial.empty() || !disk.label.empty()) {
            return make_error(
                "'{}': an image is written to, and shown to no guest; give path=IMAGE[,direct]",
                text);
        }
        return disk;
    }
    if (text.empty()) return Error("is empty; give the path of an image");
    node::DiskOptions disk;
    disk.path = std::string(text);
    return disk;
}

}  // namespace

CLI::App* add_replay(CLI::App& app, ReplayArguments& words) {
    CLI::App* const replay =
        app.add_subcommand("replay", "Carry out or show what --record has written");
    replay->add_option("LOG", words.log, "The file that --record made (needed)")->type_name("");
    add_option(*replay, "--disk", words.disk, "IMAGE|path=IMAGE[,direct]",
               "A copy of the starting image of each disk, in order");
    add_option(*replay, "--until", words.until, "EPOCH", "The last epoch (default: all)");
    replay->add_flag("--dump", words.dump, "Print epochs and records, change nothing");
    replay->add_flag("--json", words.json, "With --dump: one JSON object per line");
    replay->allow_extras();
    replay->footer(replay_footer);
    return replay;
}

Result<ReplayOptions> replay_options(const ReplayArguments& words) {
    if (words.log.size() != 1) return Error("give one LOG; see fmvm replay --help");
    ReplayOptions options;
    options.log = words.log.front();
    std::optional<unsigned> until;
    FMVM_TRY(apply(until, "--until", words.until, parse_count));
    if (until == 0u) return Error("--until: epochs count from 1; give one of them");
    if (until) options.until = *until;
    for (const std::string& word : words.disk) {
        Result<node::DiskOptions> disk = parse_image(word);
        if (!disk.ok()) return make_error("--disk: {}", disk.error().message());
        options.disks.push_back(std::move(disk).value());
    }
    if (words.json && !words.dump) return Error("--json: is for --dump; add that");
    if (!words.dump) return options;
    if (!options.disks.empty()) return Error("--dump: changes no image; leave out --disk");
    options.what = words.json ? ReplayOptions::Do::dump_json : ReplayOptions::Do::dump;
    return options;
}

}  // namespace fmvm::cli
