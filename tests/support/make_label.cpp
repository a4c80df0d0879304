// SPDX-License-Identifier: Apache-2.0
// Labels for tests of the program:
//   make_label LABEL IMAGE_BYTES ROLE GENERATION   makes one
//   make_label LABEL                               prints its role, generation and pair id
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string>

#include "replay/image/label_file.h"

using namespace fmvm::replay;

namespace {

int make(const std::string& path, char** arguments) {
    constexpr std::array roles{DiskRole::clean, DiskRole::running, DiskRole::following,
                               DiskRole::syncing};
    const auto role = std::ranges::find(roles, std::string(arguments[1]), name_of);
    if (role == roles.end()) return 2;
    DiskLabel label;
    label.vm[0] = label.pair[0] = 1;
    label.image_bytes = std::stoull(arguments[0]);
    label.role = *role;
    label.generation = std::stoull(arguments[2]);
    label.boot = this_boot();
    return LabelFile::create(path, label).ok() ? 0 : 1;
}

int print(const std::string& path) {
    const auto found = find_label(path);
    if (!found.ok() || found.value().state != LabelState::whole) return 1;
    const DiskLabel& label = found.value().label;
    fmt::print("{} {} {:02x}\n", name_of(label.role), label.generation, fmt::join(label.pair, ""));
    return 0;
}

}  // namespace

int main(int count, char** arguments) {
    if (count == 2) return print(arguments[1]);
    return count == 5 ? make(arguments[1], arguments + 2) : 2;
}
