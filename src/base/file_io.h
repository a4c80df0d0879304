// SPDX-License-Identifier: Apache-2.0
// What read(2), write(2) and fsync(2) leave to their callers: parts, interruptions, directories.
// Each function returns 0 or an errno, about which the caller knows what to say. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace fmvm {

int write_all(int fd, std::span<const std::byte> bytes);
// Reads until the file ends or `space` is full; `count` is how much that was.
int read_up_to(int fd, std::span<std::byte> space, std::size_t& count);
// The same from a place in a file on, whatever the descriptor's own position is.
int write_all_at(int fd, std::span<const std::byte> bytes, std::uint64_t offset);
int read_up_to_at(int fd, std::span<std::byte> space, std::uint64_t offset, std::size_t& count);

// The directory that a path's last name stands in; "." when the path is a name alone.
std::string directory_of(const std::string& path);
// Makes the contents of a file durable.
int sync_file(const std::string& path);
// Makes names that were made, renamed or removed in the directory durable.
int sync_directory(const std::string& path);

}  // namespace fmvm
