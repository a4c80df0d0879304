// SPDX-License-Identifier: Apache-2.0
// A file that has its name only once all of it is on stable storage: it is written as a draft
// beside its place, synchronised, and then put into its place, whose directory is synchronised,
// too. A crash of the process or of the host, at any moment, leaves in that place what was there
// before or the whole new file, and nothing else. The draft goes away with a DurableFile that was
// not placed.
//
// The draft is always a new file, whatever lies at its name, so that neither links nor an old mode
// are taken over. The directory is held open: it stays the same, whoever renames it meanwhile.
//
// Threads: one at a time.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace fmvm {

class DurableFile {
  public:
    // Makes the caller's error of what could not be done with a path: it knows whose file that is,
    // and the remedy. `what` continues a sentence that begins with the path: "cannot be created".
    using Describe = Error (*)(int error_number, const std::string& path, std::string_view what);

    enum class Draft {
        fixed,   // PATH.new. It replaces what a crash has left there, so only one may write it
        unique,  // PATH.draft- and a random number, for a path that several processes may write
    };
    static Result<DurableFile> create(const std::string& path, Draft draft, mode_t mode,
                                      Describe describe);
    // The same in a directory that is open already, and that `path` leads to.
    static Result<DurableFile> create_in(int directory, const std::string& path, Draft draft,
                                         mode_t mode, Describe describe);
    DurableFile(DurableFile&& other) noexcept;
    DurableFile& operator=(DurableFile&&) = delete;
    ~DurableFile();

    // The draft, open for reading and writing.
    int fd() const { return fd_.get(); }
    // The caller goes on with the descriptor, and synchronises the file itself before it is placed.
    UniqueFd take_descriptor() { return std::move(fd_); }

    // Appends.
    Result<void> write(std::span<const std::uint8_t> bytes);

    // Puts the file into its place, once. What was there is replaced.
    Result<void> replace();
    // The same, but what is there stays: then the answer is false.
    Result<bool> place_if_absent();
    // What place_if_absent() cannot do on some file systems.
    static constexpr std::string_view no_hard_links = "is on a file system without hard links";

  private:
    DurableFile(UniqueFd directory, std::string path, std::string draft, UniqueFd fd,
                Describe describe)
        : directory_(std::move(directory)),
          path_(std::move(path)),
          draft_(std::move(draft)),
          fd_(std::move(fd)),
          describe_(describe) {}
    static Result<DurableFile> make(UniqueFd directory, const std::string& path, Draft draft,
                                    mode_t mode, Describe describe);
    Result<void> sync();
    Result<void> sync_parent() const;
    void remove_draft();

    UniqueFd directory_;
    std::string path_;
    std::string draft_;  // empty when it is placed or removed
    UniqueFd fd_;
    Describe describe_;
};

// The same for a file that another program has written.
Result<void> make_durable(const std::string& path);

}  // namespace fmvm
