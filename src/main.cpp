// SPDX-License-Identifier: Apache-2.0
#include "base/process_end.h"
#include "base/standard_descriptors.h"
#include "base/standard_error.h"
#include "cli/cli.h"
#include "cli/report/report_error.h"

int main(int argc, char** argv) {
    fmvm::prepare_process_end();
    const fmvm::Result<void> opened = fmvm::prepare_standard_descriptors();
    const int status =
        opened.ok() ? fmvm::cli::run(argc, argv) : fmvm::cli::report_error(opened.error());
    fmvm::finish_standard_error();
    return status;
}
