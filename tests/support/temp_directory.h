// SPDX-License-Identifier: Apache-2.0
// A directory of its own for a test, gone with it.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>

#include "base/check.h"

namespace fmvm::test {

class TempDirectory {
  public:
    explicit TempDirectory(
        const std::string& parent = std::filesystem::temp_directory_path().string())
        : path_(parent + "/fmvm-test-XXXXXX") {
        FMVM_CHECK(::mkdtemp(path_.data()) != nullptr);
    }
    ~TempDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TempDirectory(const TempDirectory&) = delete;
    TempDirectory& operator=(const TempDirectory&) = delete;

    const std::string& path() const { return path_; }
    // Its path; it need not be there.
    std::string file(const std::string& name) const { return path_ + "/" + name; }
    // Its path, too.
    std::string write(const std::string& name, std::string_view text) const {
        std::ofstream(file(name), std::ios::binary) << text;
        return file(name);
    }
    std::string write(const std::string& name, std::span<const std::uint8_t> bytes) const {
        return write(name, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    }
    std::string read(const std::string& name) const {
        std::ifstream in(file(name), std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    std::size_t count() const {
        return static_cast<std::size_t>(
            std::distance(std::filesystem::directory_iterator(path_), {}));
    }

  private:
    std::string path_;
};

}  // namespace fmvm::test
