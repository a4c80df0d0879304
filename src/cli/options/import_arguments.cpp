// SPDX-License-Identifier: Apache-2.0
#include "cli/options/import_arguments.h"

#include <filesystem>
#include <optional>

#include "cli/options/option_values.h"

namespace fmvm::cli {

namespace {

constexpr const char* import_footer = R"(
DIR gets disk.img (raw, sparse), vmlinuz and initrd, and is there only when all of it is; FILE is not
changed. Standard output gets the configuration file that runs it. qemu-img (package qemu-utils)
converts, grub-fstest (package grub-common) reads the kernel out of the image; nothing is mounted.

The format is told by the end of FILE's name (.qcow2, .vmdk, .vhdx, .raw) or by --format, never by
what is in it. Images that need other files (backing files, external data) are refused.

Examples:
  fmvm import debian-12-generic-amd64.qcow2 --to vm1 > vm1.json
  fmvm run --config vm1.json
  fmvm import jammy-server-cloudimg-amd64.img --format qcow2 --to vm2 > vm2.json

Exit status:
  0  DIR is complete and on the disk
  1  this host: a program is missing, no room, a disk fails
  2  bad usage, or an image that cannot be used
  6  stopped by the operator: SIGTERM, SIGINT, SIGHUP)";

// The image's own name, here: "x.qcow2" becomes "x".
std::string default_target(const std::string& image) {
    return std::filesystem::path(image).stem().string();
}

std::string without_slash(std::string path) {
    while (path.size() > 1 && path.ends_with('/'))
        path.pop_back();
    return path;
}

// What stands on the command line.
struct GivenImport {
    std::vector<std::string> images;
    std::optional<std::string> to;
    std::optional<node::ImageFormat> format;
};

Result<void> add_image(GivenImport& given, std::string_view word) {
    given.images.emplace_back(word);
    return {};
}

constexpr Option<GivenImport> import_table[] = {
    {{.flag = "FILE", .type = "", .help = "The image (needed)", .repeatable = true}, add_image},
    {{"--to", "DIR", "The directory to be made (default: FILE's name without its ending, here)"},
     into<as_it_is, &GivenImport::to>},
    {{"--format", "raw|qcow2|vmdk|vhdx", "What FILE is (default: by its name)"},
     into<node::parse_image_format, &GivenImport::format>},
};

}  // namespace

Command import_line() {
    Command line{"import",
                 "Make a cloud image of another format ready to run",
                 import_footer,
                 {},
                 [](const Arguments& a) { return obey(import_options(a), import_command); }};
    list(line.options, import_table);
    return line;
}

Result<ImportOptions> import_options(const Arguments& arguments) {
    GivenImport given;
    FMVM_TRY(take_all(given, arguments, import_table));
    if (given.images.size() != 1 || given.images.front().empty())
        return Error("give one FILE; see fmvm import --help");
    ImportOptions options;
    options.image = given.images.front();
    options.to = without_slash(given.to ? *given.to : default_target(options.image));
    if (options.to.empty()) return Error("--to: is empty; give the directory to be made");
    options.format =
        given.format ? *given.format : FMVM_TRY(node::image_format_by_name(options.image));
    return options;
}

}  // namespace fmvm::cli
