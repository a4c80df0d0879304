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

// What stands on the command line.
struct GivenReplay {
    std::vector<std::string> logs;
    std::vector<node::DiskOptions> disks;
    std::uint64_t until = replay::until_end;
    bool dump = false;
    bool json = false;
};

Result<void> add_log(GivenReplay& given, std::string_view word) {
    given.logs.emplace_back(word);
    return {};
}

Result<void> add_disk_image(GivenReplay& given, std::string_view word) {
    given.disks.push_back(FMVM_TRY(parse_image(word)));
    return {};
}

Result<std::uint64_t> parse_epoch(std::string_view text) {
    const unsigned epoch = FMVM_TRY(parse_count(text));
    if (epoch == 0) return Error("epochs count from 1; give one of them");
    return epoch;
}

constexpr Option<GivenReplay> replay_table[] = {
    {{.flag = "LOG",
      .type = "",
      .help = "The file that --record made (needed)",
      .repeatable = true},
     add_log},
    {{.flag = "--disk",
      .type = "IMAGE|path=IMAGE[,direct]",
      .help = "A copy of the starting image of each disk, in order",
      .repeatable = true},
     add_disk_image},
    {{"--until", "EPOCH", "The last epoch (default: all)"}, into<parse_epoch, &GivenReplay::until>},
    {{"--dump", "", "Print epochs and records, change nothing"}, turn_on<&GivenReplay::dump>},
    {{"--json", "", "With --dump: one JSON object per line"}, turn_on<&GivenReplay::json>},
};

}  // namespace

Command replay_line() {
    Command line{"replay",
                 "Carry out or show what --record has written",
                 replay_footer,
                 {},
                 [](const Arguments& a) { return obey(replay_options(a), replay_command); }};
    list(line.options, replay_table);
    return line;
}

Result<ReplayOptions> replay_options(const Arguments& arguments) {
    GivenReplay given;
    FMVM_TRY(take_all(given, arguments, replay_table));
    if (given.logs.size() != 1) return Error("give one LOG; see fmvm replay --help");
    if (given.json && !given.dump) return Error("--json: is for --dump; add that");
    if (given.dump && !given.disks.empty())
        return Error("--dump: changes no image; leave out --disk");
    ReplayOptions options;
    options.log = given.logs.front();
    options.disks = std::move(given.disks);
    options.until = given.until;
    if (given.dump)
        options.what = given.json ? ReplayOptions::Do::dump_json : ReplayOptions::Do::dump;
    return options;
}

}  // namespace fmvm::cli
