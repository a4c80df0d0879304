// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/check_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "base/json_writer.h"
#include "base/units.h"
#include "cli/report/exit_status.h"
#include "cli/report/print_result.h"
#include "cli/report/report_error.h"
#include "node/build/host_facts.h"
#include "vmm/host/host_probe.h"

namespace fmvm::cli {

namespace {

std::string_view verdict_name(Verdict verdict) {
    switch (verdict) {
        case Verdict::ok:
            return "ok";
        case Verdict::missing:
            return "missing";
        case Verdict::note:
            break;
    }
    return "note";
}

Fact tried(std::string name, const Result<void>& result, Verdict if_not) {
    if (result.ok()) return {std::move(name), "works", Verdict::ok};
    return {std::move(name), result.error().message(), if_not};
}

void add_host_facts(std::vector<Fact>& facts) {
    facts.push_back({"cpu", node::host_cpu_model(), Verdict::ok});
    const Result<std::uint64_t> memory = node::host_memory_bytes();
    if (memory.ok()) {
        facts.push_back({"memory", fmt::format("{} MiB", memory.value() / mib), Verdict::ok});
    } else {
        facts.push_back({"memory", memory.error().message(), Verdict::note});
    }
    facts.push_back(tried("io_uring", node::try_io_uring(), Verdict::missing));
    facts.push_back(tried("tap", node::try_tap(), Verdict::note));
    facts.push_back(tried("making taps", node::may_make_taps(), Verdict::note));
    facts.push_back(tried("bridges", node::try_bridges(), Verdict::note));
    facts.push_back(tried("real time", node::try_real_time(), Verdict::note));
}

void add_capabilities(std::vector<Fact>& facts, const Kvm& kvm) {
    for (const KvmCapability& capability : probe_capabilities(kvm)) {
        const Verdict if_absent = capability.needed ? Verdict::missing : Verdict::note;
        const bool present = capability.value > 0;
        facts.push_back({std::string(capability.name),
                         present ? fmt::format("{}", capability.value) : "absent",
                         present ? Verdict::ok : if_absent});
    }
}

Fact instruction_fact(const InstructionProbe& probe) {
    std::string name = fmt::format("ring 0 {}", probe.name);
    switch (probe.verdict) {
        case InstructionVerdict::ok:
            return {std::move(name), "executed", Verdict::ok};
        case InstructionVerdict::completed:
            return {std::move(name), "refused by KVM, completed by fmvm", Verdict::ok};
        case InstructionVerdict::refused:
            return {std::move(name), "refused by KVM", Verdict::note};
        case InstructionVerdict::faults:
            break;
    }
    return {std::move(name), "not on this CPU", Verdict::note};
}

// Emulation is a note: fmvm runs there, and says what to expect.
void add_ring0(std::vector<Fact>& facts, const Kvm& kvm) {
    const Result<Ring0Report> report = measure_ring0(kvm);
    if (!report.ok()) {
        facts.push_back({"ring 0", report.error().message(), Verdict::missing});
        return;
    }
    const bool emulated = report.value().kind == Ring0Kind::emulated;
    facts.push_back(
        {"ring 0",
         emulated ? "emulated (guest kernels run slowly; see docs/cli.md)" : "hardware-virtualised",
         emulated ? Verdict::note : Verdict::ok});
    facts.push_back({"ring 0 speed",
                     fmt::format("{:.1f} MIPS", report.value().million_instructions_per_s),
                     emulated ? Verdict::note : Verdict::ok});
    for (const InstructionProbe& probe : report.value().instructions) {
        facts.push_back(instruction_fact(probe));
    }
}

std::vector<Fact> gather_facts() {
    std::vector<Fact> facts;
    add_host_facts(facts);
    const Result<Kvm> kvm = Kvm::open();
    if (!kvm.ok()) {
        facts.push_back({"kvm", kvm.error().message(), Verdict::missing});
        return facts;
    }
    facts.push_back({"kvm", fmt::format("/dev/kvm, API version {}", KVM_API_VERSION), Verdict::ok});
    add_capabilities(facts, kvm.value());
    add_ring0(facts, kvm.value());
    return facts;
}

const Fact* first_missing(const std::vector<Fact>& facts) {
    const auto found = std::ranges::find(facts, Verdict::missing, &Fact::verdict);
    return found == facts.end() ? nullptr : &*found;
}

}  // namespace

std::string facts_as_text(const std::vector<Fact>& facts) {
    std::size_t name_width = 0;
    for (const Fact& fact : facts)
        name_width = std::max(name_width, fact.name.size());
    std::string text;
    for (const Fact& fact : facts) {
        text += fmt::format("{:<7}  {:<{}} {}\n", verdict_name(fact.verdict), fact.name + ":",
                            name_width + 1, fact.value);
    }
    return text;
}

std::string facts_as_json(const std::vector<Fact>& facts) {
    std::vector<JsonObject> list;
    list.reserve(facts.size());
    for (const Fact& fact : facts) {
        list.push_back(JsonObject()
                           .add("name", fact.name)
                           .add("value", fact.value)
                           .add("verdict", verdict_name(fact.verdict)));
    }
    return JsonObject()
        .add("can_run", first_missing(facts) == nullptr)
        .add("facts", list)
        .indented();
}

int check_command(bool as_json) {
    const std::vector<Fact> facts = gather_facts();
    const std::string report = as_json ? facts_as_json(facts) : facts_as_text(facts);
    const int status = print_result(report);
    const Fact* const missing = first_missing(facts);
    if (status != to_int(ExitStatus::ok) || missing == nullptr) return status;
    return report_error(
        fmt::format("this host cannot run machines: {}: {}", missing->name, missing->value),
        ExitStatus::failure);
}

}  // namespace fmvm::cli
