// SPDX-License-Identifier: Apache-2.0
#include "replay/scrub/scrub_messages.h"

#include "base/field_list.h"

namespace fmvm::replay {

void fields(auto& archive, FieldsOf<CheckMessage> auto& check) {
    archive.u64(check.number);
    archive.u64(check.epoch);
    archive.u8(check.disk);
    archive.list(
        check.blocks,
        {.element_bytes_min = block_digest_bytes, .count_max = check_blocks_max, .count_min = 1},
        [](auto& element, auto& digest) { fields(element, digest); });
}

void fields(auto& archive, FieldsOf<CheckedMessage> auto& checked) {
    archive.u64(checked.number);
}

FMVM_CODEC_BY_FIELDS(CheckMessage, "check")
FMVM_CODEC_BY_FIELDS(CheckedMessage, "checked")

}  // namespace fmvm::replay
